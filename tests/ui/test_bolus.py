"""A bolus by touch, over the real daemon and the simulated bench: the plant is the oracle."""

import os
import signal

import pytest
from demo_harness import RunningDemo, wait_for
from kivy.base import EventLoop
from touch import Flood, Hands, frames, kiosk_on

from appliance.client import HistoryRow, KeeperClient, new_request_id
from ui.app import calm_input
from ui.presenters.numbers import units


def type_amount(hands: Hands, digits: str) -> None:
    hands.tap("bolus")
    hands.sees_screen("bolus")
    hands.settles()
    for digit in digits:
        hands.tap(digit)
        hands.later(0.2)


def review(hands: Hands, digits: str) -> None:
    type_amount(hands, digits)
    hands.tap("review")
    hands.sees_screen("review")

    def reviewed() -> bool:
        view = hands.kiosk.page.view
        assert not view.against, view.against
        return bool(view.ready)

    hands.sees(reviewed, "the review is ready")
    hands.settles()


def free(demo: RunningDemo) -> None:
    """Wait until the distance between two boluses has passed."""

    def is_free() -> bool:
        with demo.pump() as pump:
            return pump.review(new_request_id(), 110_000).token is not None

    wait_for(is_free, "another bolus may begin")


def confirm(hands: Hands) -> str:
    """Hold until the bolus is on its way; return its id."""
    wish = hands.kiosk.page.presenter.wish
    hands.hold(
        "Hold to deliver",
        lambda: hands.screen() == "delivering" or hands.kiosk.page.view.again,
    )
    if hands.screen() == "review":
        hands.settles()
        hands.hold("Hold to deliver again", lambda: hands.screen() == "delivering")
    return str(wish.request_id)


def test_sr_05_a_bolus_from_the_first_tap_to_the_last_confirmed_step(
    hands: Hands, rested: RunningDemo
) -> None:
    review(hands, "0.35")
    assert {"0.35", "units", "Last bolus", "Left in the last 60 min"} <= set(hands.texts())
    request_id = confirm(hands)
    hands.sees_text("STOP BOLUS")
    hands.sees_text("Every step is confirmed")
    assert {"0.35", "of 0.35 U confirmed"} <= set(hands.texts())
    with rested.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert dose.complete
    assert (dose.programmed_uu, dose.confirmed_steps) == (350_000, dose.programmed_steps)
    assert hands.reads(f"{dose.confirmed_steps} steps")
    rested.bounds_hold()


def test_sr_08_the_review_says_what_the_pump_says(hands: Hands, rested: RunningDemo) -> None:
    review(hands, "0.6")
    said = hands.kiosk.page.presenter.review
    assert said is not None
    rows = {row.caption: row.value for row in hands.kiosk.page.view.rows}
    assert rows["Delivered in the last 60 min"] == units(said.delivered_60_min_uu)
    assert rows["Left in the last 60 min"].startswith(units(said.left_60_min_uu)[:-2])
    assert rows["Left in the last 24 h"].startswith(units(said.left_24_h_uu)[:-2])
    assert ("none" in rows["Last bolus"]) == (said.last_bolus is None)
    hands.tap("Cancel, nothing delivered")
    hands.sees_screen("home")


def test_letting_go_early_delivers_nothing_and_says_so(hands: Hands, rested: RunningDemo) -> None:
    review(hands, "0.2")
    request_id = hands.kiosk.page.presenter.wish.request_id
    button = hands.button("Hold to deliver")
    hands.hold(button, lambda: button.filled > 0.5)
    hands.sees_text("let go too early: nothing was delivered")
    assert (button.filled, hands.screen()) == (0, "review")
    with rested.pump() as pump:
        assert pump.lookup(request_id) is None


def test_stop_bolus_in_mid_bolus_leaves_basal_running(hands: Hands, rested: RunningDemo) -> None:
    review(hands, "2")
    request_id = confirm(hands)
    hands.sees(lambda: hands.kiosk.page.view.share > 0.1, "a tenth is confirmed")
    hands.settles()
    hands.tap("STOP BOLUS")
    hands.sees_text("Stopped")
    with rested.pump() as pump:
        dose, state = pump.lookup(request_id), pump.status().state
    assert dose is not None
    assert (dose.outcome, dose.certainty, state) == ("stopped", "exact", "running")
    assert 0 < dose.confirmed_steps < (dose.programmed_steps or 0)
    assert hands.reads(f"{dose.confirmed_steps} steps")


def test_stop_ends_everything_and_offers_resume(hands: Hands, rested: RunningDemo) -> None:
    review(hands, "2.1")
    request_id = confirm(hands)
    hands.sees(lambda: hands.kiosk.page.view.share > 0.05, "it delivers")
    hands.tap("STOP")
    hands.sees_text("Everything is stopped")
    with rested.pump() as pump:
        dose, state = pump.lookup(request_id), pump.status().state
    assert dose is not None
    assert (dose.outcome, state) == ("stopped", "suspended")
    assert hands.reads(f"{dose.confirmed_steps:,} steps")
    hands.settles()
    hands.tap("resume")
    hands.sees_text("Basal is delivered again")
    rested.bounds_hold()


def test_sr_10_the_same_amount_again_is_confirmed_a_second_time_in_another_place(
    hands: Hands, rested: RunningDemo
) -> None:
    for place in ("first", "second"):
        review(hands, "0.15")
        if place == "first":
            confirm(hands)
            hands.sees_text("Every step is confirmed")
            hands.settles()
            hands.tap("Home")
            hands.sees_screen("home")
            hands.settles()
            free(rested)
    first = hands.button("Hold to deliver")
    before = (*first.to_window(*first.pos), *first.size)
    finger = hands.finger_on(first).down()
    hands.sees(lambda: hands.kiosk.page.view.again, "it asks again")
    hands.sees_text("min ago")
    second = hands.button("Hold to deliver again")
    after = (*second.to_window(*second.pos), *second.size)
    assert not overlap(before, after)
    assert (second.filled, hands.screen()) == (0, "review"), "the finger still lies on the first"
    finger.up()
    hands.settles()
    hands.hold(second, lambda: hands.screen() == "delivering")
    hands.sees_text("Every step is confirmed")


def work_out(hands: Hands, carbs: str, glucose: str) -> None:
    """Have the calculator propose a bolus."""
    hands.tap("bolus")
    hands.settles()
    hands.tap("Work it out from a meal")
    hands.sees_screen("calculator")
    hands.settles()
    hands.sees(lambda: not hands.kiosk.page.presenter.view().message.startswith("The"), "profile")
    for digit in carbs:
        hands.tap(digit)
        hands.later(0.2)
    hands.tap(next(one for one in hands.buttons() if getattr(one, "caption", "") == "Glucose"))
    hands.later(0.7)
    for digit in glucose:
        hands.tap(digit)
        hands.later(0.2)


def test_the_calculator_shows_every_line_and_its_proposal_is_only_typed_in(hands: Hands) -> None:
    work_out(hands, "60", "150")
    rows = {row.caption: row for row in hands.kiosk.page.view.lines}
    assert (rows["Meal"].value, rows["Correction"].value) == ("6.00 U", "1.00 U")
    assert rows["Meal"].note == "60 g / 10 g/U"
    assert "Insulin on board" in rows
    total = hands.kiosk.page.view.total
    hands.tap("use")
    hands.sees_screen("bolus")
    assert hands.kiosk.page.view.digits + " U" == total


def give_and_stop(hands: Hands, demo: RunningDemo) -> HistoryRow:
    """Deliver what stands there, stop it at once; return what history says of it."""
    hands.settles()
    hands.tap("review")
    hands.sees_screen("review")
    hands.sees(lambda: hands.kiosk.page.view.ready, "the review is ready")
    hands.settles()
    request_id = confirm(hands)
    hands.sees_text("STOP BOLUS")
    hands.settles()
    hands.tap("STOP BOLUS")
    hands.sees_text("Stopped")
    hands.settles()
    hands.tap("home")
    hands.settles()
    hands.tap("history")
    hands.sees_screen("history")
    with KeeperClient(demo.places.keeper_socket) as keeper:

        def told() -> HistoryRow | None:
            rows = keeper.history(rows=40)
            return next((one for one in rows if one.id == request_id), None)

        row: HistoryRow = wait_for(told, "history has it", every_s=0.2)
    return row


def test_history_says_what_a_bolus_was_worked_out_for(hands: Hands, rested: RunningDemo) -> None:
    work_out(hands, "80", "300")
    food_uu = 8_000_000
    hands.tap("use")
    hands.sees_screen("bolus")
    amount_uu = hands.kiosk.page.presenter.amount_uu
    row = give_and_stop(hands, rested)
    assert (row.programmed_uu, row.carbs_g) == (amount_uu, 80)
    assert row.correction_uu == max(0, amount_uu - food_uu), "food comes first"
    hands.sees_text("Bolus for 80 g, stopped")
    hands.sees_text("Given for")


@pytest.mark.full
def test_an_amount_that_was_changed_keeps_its_carbs_and_corrects_no_more_than_it_is(
    hands: Hands, rested: RunningDemo
) -> None:
    for carbs, said in (("80", "Bolus for 80 g, stopped"), ("", "Correction bolus, stopped")):
        work_out(hands, carbs, "390")
        hands.tap("use")
        hands.sees_screen("bolus")
        hands.settles()
        hands.tap("clear")
        for digit in "0.45" if carbs else "0.55":
            hands.later(0.2)
            hands.tap(digit)
        row = give_and_stop(hands, rested)
        assert row.programmed_uu == (450_000 if carbs else 550_000)
        assert (row.carbs_g, row.correction_uu) == ((80, 0) if carbs else (0, 550_000))
        hands.sees_text(said)
        hands.settles()
        hands.tap("home")
        hands.sees_screen("home")
        hands.settles()
        free(rested)


def test_a_killed_daemon_is_drawn_at_once_and_what_was_sent_is_never_sent_again(
    hands: Hands, rested: RunningDemo
) -> None:
    review(hands, "1.9")
    request_id = confirm(hands)
    hands.sees(lambda: hands.kiosk.page.view.share > 0.05, "it delivers")
    os.kill(rested.pid("pumpd"), signal.SIGKILL)
    hands.sees_screen("no_contact", 2)
    assert hands.reads("No contact")
    assert not hands.reads("U/h")
    hands.sees_screen("alarm", 40)
    hands.answers_alarms()
    hands.sees_screen("delivering")
    hands.sees_text("Uncertain")
    assert hands.reads("–"), "both bounds are shown"
    rested.recover()
    with rested.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert dose.outcome == "uncertain"
    rested.bounds_hold()


def test_no_contact_with_a_frozen_pump_is_drawn_within_two_seconds(
    hands: Hands, rested: RunningDemo
) -> None:
    hands.tap("bolus")
    hands.sees_screen("bolus")
    pid = rested.pid("pumpd")
    os.kill(pid, signal.SIGSTOP)
    try:
        hands.sees_screen("no_contact", 2.0)
    finally:
        os.kill(pid, signal.SIGCONT)
    hands.sees(lambda: hands.screen() != "no_contact", "it is back", 40)
    assert hands.screen() != "bolus", "what was half entered is gone"
    rested.recover()


def test_an_alarm_from_a_blocked_line_takes_the_screen_and_says_what_went_out(
    hands: Hands, rested: RunningDemo
) -> None:
    review(hands, "3")
    request_id = confirm(hands)
    hands.sees(lambda: hands.kiosk.page.view.share > 0.02, "it delivers")
    rested.bench("inject", name="occlusion")
    hands.sees_screen("alarm", 40)
    assert {"Occlusion", "BENCH", "STOP"} <= set(hands.texts())
    hands.sees_text("of 3.00 U confirmed")
    assert hands.reads("1. Free the line")
    hands.tap("I have seen it")
    assert hands.kiosk.page.view.busy is False, "an alarm's buttons are deaf for a second"
    hands.settles()
    hands.tap("I have seen it")
    hands.sees(lambda: not hands.reads("1. Free the line"), "the occlusion is answered")
    if hands.screen() == "alarm":  # the third stop within 10 minutes of this pump: SR-27
        assert "Delivery is locked" in hands.texts()
        hands.settles()
        hands.tap("I have seen it")
    hands.sees_screen("delivering")
    with rested.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert dose.outcome in ("fault", "stopped")
    rested.bench("clear", name="occlusion")  # as the screen asks: before that, no resume is taken
    rested.recover()


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two rectangles (x, y, width, height) share area."""
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


def test_sr_59_f14_a_screen_that_hangs_stops_beating_and_the_bolus_ends(
    hands: Hands, rested: RunningDemo
) -> None:
    review(hands, "3.1")
    request_id = confirm(hands)
    hands.sees(lambda: hands.kiosk.page.view.share > 0.02, "it delivers")

    def ended() -> bool:
        with rested.pump() as pump:
            dose = pump.lookup(request_id)
        assert dose is not None
        return dose.outcome not in (None, "open")

    # No frame is turned here: the window hangs, while its connections live on.
    wait_for(ended, "the bolus ends", 10, every_s=0.2)
    hands.sees_screen("alarm")
    assert hands.reads("Bolus stopped: nobody could have")


def test_f42_a_display_that_is_unplugged_lets_nobody_stop_so_the_bolus_ends(
    rested: RunningDemo,
) -> None:
    plugged = [True]
    with kiosk_on(rested.places, is_seen=lambda: plugged[0]) as hands:
        hands.sees_screen("home")
        hands.settles()
        review(hands, "3.2")
        request_id = confirm(hands)
        hands.sees(lambda: hands.kiosk.page.view.share > 0.02, "it delivers")
        plugged[0] = False
        hands.sees_screen("alarm")
        assert hands.reads("Bolus stopped: nobody could have")
        with rested.pump() as pump:
            dose = pump.lookup(request_id)
        assert dose is not None
        assert (dose.outcome, dose.certainty) == ("stopped", "exact")


@pytest.mark.full
def test_f37_stop_ends_a_bolus_in_a_flood_of_touches(
    hands: Hands, rested: RunningDemo, monkeypatch: pytest.MonkeyPatch
) -> None:
    review(hands, "2.3")
    request_id = confirm(hands)
    hands.sees(lambda: hands.kiosk.page.view.share > 0.02, "it delivers")
    hands.settles()
    monkeypatch.setattr(EventLoop, "dispatch_input", calm_input(hands.kiosk.frame))
    flood = Flood(10_000 // 30, hands.button("STOP"), ends=True)
    with flood.rages():
        frames(30)
        assert hands.kiosk.last_stop is None
        flood.on_stop = True
        frames()
        assert hands.kiosk.last_stop is not None, "in the frame that read it"
        hands.sees_text("Everything is stopped")
    with rested.pump() as pump:
        dose = pump.lookup(request_id)
        assert "A26" in [one.code for one in pump.alarms()], "and the flood is told"
    assert dose is not None
    assert dose.outcome == "stopped"
    rested.bounds_hold()
