"""History, temporary basal, extended and quick bolus, profiles: by touch, over the real daemon."""

from pathlib import Path

import pytest
from demo_harness import RunningDemo, wait_for
from kivy.uix.widget import Widget
from touch import TIME, Finger, Hands, everything, frames, kiosk_on
from ui_desk import snapshot_of

from appliance.client import KeeperClient, Places, Snapshot
from appliance.client.messages import Basal
from ui.panels import PANELS
from ui.presenters.draft import Draft, Piece
from ui.widgets import HoldButton, RowList

Box = tuple[float, float, float, float]


def tap(hands: Hands, target: str) -> None:
    hands.settles()
    hands.tap(target)
    frames(2)


def goes(hands: Hands, target: str, screen: str) -> None:
    tap(hands, target)
    hands.sees_screen(screen)
    hands.settles()


def types(hands: Hands, keys: str) -> None:
    for key in keys:
        hands.tap(key)
        hands.later(0.2)


def menu(hands: Hands, words: str, screen: str) -> None:
    goes(hands, "menu", "menu")
    goes(hands, words, screen)


def the_list(hands: Hands) -> RowList:
    return next(one for one in everything(hands.kiosk.frame) if isinstance(one, RowList))


def row(hands: Hands, key: str) -> None:
    """Touch the row of a key that is in sight."""
    hands.settles()
    line = next(one for one in the_list(hands)._lines if one.key == key)
    hands.tap(line)
    frames(2)


def is_ready(hands: Hands) -> None:
    """See the review allow it, or fail with what stands against it."""
    hands.sees_screen("review")

    def ready() -> bool:
        view = hands.kiosk.page.view
        assert not view.against, view.against
        return bool(view.ready)

    hands.sees(ready, "the review is ready")
    hands.settles()


def delivers(hands: Hands) -> str:
    """Hold until the bolus is on its way; return its id."""
    wish = hands.kiosk.page.presenter.wish
    hands.hold(
        "Hold to deliver", lambda: hands.screen() == "delivering" or hands.kiosk.page.view.again
    )
    if hands.screen() == "review":
        hands.settles()
        hands.hold("Hold to deliver again", lambda: hands.screen() == "delivering")
    return str(wish.request_id)


def test_a_dual_bolus_by_touch_is_two_doses_and_history_has_both_to_the_lease(
    hands: Hands, rested: RunningDemo
) -> None:
    goes(hands, "bolus", "bolus")
    types(hands, "1.3")
    goes(hands, "extend", "extend")
    tap(hands, "50%")
    tap(hands, "lasts")
    types(hands, "030")
    assert hands.reads("0.65 U now, then 0.65 U of 1.30 U over 30 min")
    tap(hands, "review")
    is_ready(hands)
    assert hands.reads("then 0.65 U over 30 min")
    request_id = delivers(hands)

    def running() -> Snapshot | None:
        snapshot = rested.status()
        return snapshot if snapshot.bolus is None and snapshot.extended is not None else None

    hands.sees(running, "the part at once is over, the rest goes on")
    goes(hands, "home", "home")
    # --- history, while the rest still runs
    goes(hands, "history", "history")
    tap(hands, "Boluses")
    found = hands.sees(
        lambda: [one for one in hands.kiosk.page.view.rows if not one.heading][:2], "two doses"
    )
    assert {one.text for one in found} == {"Bolus", "Extended bolus, running"}
    assert any(one.value.endswith("of 0.65 U") for one in found)
    tap(hands, "STOP")
    hands.sees_text("Everything is stopped")
    with rested.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert dose.extended is not None
    assert (dose.complete, dose.extended.outcome) == (True, "stopped"), dose
    assert 0 < dose.extended.confirmed_steps < (dose.extended.programmed_steps or 0)
    goes(hands, "home", "home")
    # --- and once it is over: the same steps, down to the leases
    goes(hands, "history", "history")
    hands.sees(
        lambda: "Extended bolus, stopped" in [one.text for one in hands.kiosk.page.view.rows],
        "its end is in history",
    )
    row(hands, next(one.key for one in hands.kiosk.page.view.rows if one.text == "Bolus"))
    assert hands.reads(f"{dose.confirmed_steps} of {dose.programmed_steps}")
    goes(hands, "leases", "leases")
    leases = hands.sees(lambda: hands.kiosk.page.view.rows, "the leases")
    assert hands.reads(f"{dose.confirmed_steps} steps confirmed in {len(leases)} leases")
    rested.bounds_hold()


def test_the_graph_and_the_days_show_what_was_delivered(hands: Hands, rested: RunningDemo) -> None:
    with rested.bolus(250_000) as dose, rested.pump() as pump:
        wait_for(lambda: (found := pump.lookup(dose.id)) and found.complete, "it is delivered")
    with KeeperClient(rested.places.keeper_socket) as keeper:

        def told() -> list[str]:
            return [one.outcome for one in keeper.graph(3).boluses if one.id == dose.id]

        wait_for(lambda: told() == ["done"], "the keeper has read it", every_s=0.2)
    goes(hands, "history", "history")
    goes(hands, "graph", "graph")
    tap(hands, "3 h")
    plot = hands.sees(
        lambda: hands.kiosk.page.view.plot.hours == 3 and hands.kiosk.page.view.plot,
        "three hours are drawn",
    )
    assert "0.25" in [mark.words for mark in plot.boluses]
    assert [block for block in plot.basal if block.rate_uu_per_h > 0]
    goes(hands, "days", "days")
    hands.sees(lambda: hands.kiosk.page.view.rows, "a day is listed")
    facts = {one.caption: one.value for one in hands.kiosk.page.view.detail.lines}
    assert int(facts["Boluses"]) >= 1


def test_a_temporary_basal_begins_with_a_hold_and_ends_with_a_tap(
    hands: Hands, rested: RunningDemo
) -> None:
    before_uu_per_h = rested.status().raw["scheduled_uu_per_h"]
    goes(hands, "basal", "basal")
    goes(hands, "Temporary basal", "temp")
    types(hands, "150")
    tap(hands, "lasts")
    types(hands, "200")
    goes(hands, "review", "confirm")
    assert {"150", "% of the profile"} <= set(hands.texts())
    button = hands.button("Hold to begin")
    hands.hold(button, lambda: button.filled > 0.4)
    hands.sees_text("let go too early: nothing has changed")
    assert rested.status().temp is None
    hands.settles()
    hands.hold(button, lambda: hands.reads("It runs"))
    temp = rested.status().temp
    assert temp is not None
    assert (temp.kind, temp.value, temp.duration_s) == ("percent", 150, 7_200)
    assert temp.rate_uu_per_h == before_uu_per_h * 150 // 100
    goes(hands, "after", "basal")
    goes(hands, "Temporary basal", "temp")
    hands.sees_text("150% of the profile runs")
    tap(hands, "cancel")
    hands.sees(lambda: rested.status().temp is None, "it has ended")


def test_a_preset_of_temporary_basal_is_kept_used_and_taken_away_by_touch(
    hands: Hands, rested: RunningDemo
) -> None:
    goes(hands, "basal", "basal")
    goes(hands, "Temporary basal", "temp")
    types(hands, "130")
    tap(hands, "lasts")
    types(hands, "130")
    goes(hands, "Presets", "choose")
    row(hands, "keep")
    hands.sees_screen("name")
    hands.settles()
    types(hands, "Gym")
    tap(hands, "take")
    hands.sees_screen("choose")
    with rested.pump() as pump:
        kept = pump.temp_presets().presets["Gym"]
    assert (kept.kind, kept.value, kept.duration_s) == ("percent", 130, 5_400)
    tap(hands, "back")
    hands.sees_screen("temp")
    hands.settles()
    types(hands, "777")  # something else stands there: the preset replaces it
    goes(hands, "Presets", "choose")
    row(hands, "preset Gym")
    hands.sees_screen("temp")
    assert [one.digits for one in hands.kiosk.page.view.fields] == ["130", "1:30"]
    goes(hands, "Presets", "choose")
    row(hands, "take_away")
    hands.sees(lambda: hands.kiosk.page.view.title == "Take one away", "which one")
    row(hands, "preset Gym")
    hands.sees(lambda: hands.kiosk.page.view.title == "Presets", "what is left")
    assert "Gym" not in [one.text for one in hands.kiosk.page.view.rows]
    with rested.pump() as pump:
        assert pump.temp_presets().presets == {}


def test_a_quick_bolus_counts_in_steps_and_delivers_what_was_counted(
    hands: Hands, rested: RunningDemo
) -> None:
    with rested.pump() as pump:
        pump.set_quick_step(150_000)
    hands.sees(lambda: hands.kiosk.state.live.quick_step_uu == 150_000, "the step is known")
    menu(hands, "Quick bolus", "quick")
    for key in ("more", "more", "more", "less"):
        hands.tap(key)
        hands.later(0.2)
    assert hands.kiosk.page.view.digits == "0.30"
    tap(hands, "review")
    is_ready(hands)
    request_id = delivers(hands)
    hands.sees_text("Every step is confirmed")
    with rested.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert (dose.programmed_uu, dose.complete) == (300_000, True)


@pytest.mark.full
def test_a_profile_is_copied_edited_doubted_kept_and_used_and_nothing_before_its_hold(
    hands: Hands, rested: RunningDemo
) -> None:
    menu(hands, "Profiles", "profiles")
    hands.sees(lambda: hands.kiosk.page.view.chosen == "Demo day", "the profile in use")
    goes(hands, "more", "choose")
    row(hands, "copy")
    hands.sees_screen("name")
    hands.settles()
    types(hands, "Run")
    tap(hands, "take")
    hands.sees(
        lambda: hands.screen() == "profiles" and hands.kiosk.page.view.chosen == "Run", "the copy"
    )
    goes(hands, "edit", "profile")
    goes(hands, "add", "segment")
    types(hands, "1430")
    tap(hands, "rate")
    types(hands, "3.95")
    tap(hands, "sensitivity")
    types(hands, "45")
    goes(hands, "take", "profile")
    assert hands.kiosk.page.view.facts[1].caption == "A day, before"
    goes(hands, "keep", "confirm")
    assert hands.reads("At 14:30 the rate jumps from 0.900 U/h to 3.950 U/h")
    with rested.pump() as pump:
        assert len(pump.basal().profiles["Run"]) == 5, "nothing is kept before the hold"
    hands.hold("Hold to keep it", lambda: hands.reads("It is kept"))
    goes(hands, "after", "profiles")
    goes(hands, "use", "confirm")
    hands.hold("Hold to use it", lambda: hands.reads("It is followed from now on"))
    with rested.pump() as pump:
        basal = pump.basal()
        pump.use_basal("Demo day")
        pump.delete_basal("Run")
    assert basal.active == "Run"
    segment = next(one for one in basal.profiles["Run"] if one.start_min_of_day == 870)
    assert (segment.rate_uu_per_h, segment.sensitivity_mg_dl_per_u) == (3_950_000, 45)


def test_a_list_follows_the_finger_and_rests_on_whole_rows(
    hands: Hands, rested: RunningDemo
) -> None:
    goes(hands, "history", "history")
    rows = the_list(hands)
    hands.sees(lambda: len(rows.rows) > rows.fitting + 4, "more rows than fit")
    hands.settles()
    chosen = hands.kiosk.page.view.chosen
    finger = Finger(*rows.to_window(rows.center_x, rows.y + 20)).down()
    for part in (0.2, 0.5, 0.7):
        finger.move(*rows.to_window(rows.center_x, rows.y + 20 + part * rows.height))
    assert 0 < rows.offset < len(rows.rows)
    finger.up()
    hands.sees(lambda: rows.offset == round(rows.offset) and rows.offset > 0, "it rests")
    assert hands.kiosk.page.view.chosen == chosen, "a drag picks nothing"
    shown = [one for one in rows._lines if one.opacity and one.key]
    assert all(one.y >= rows.y - 1 and one.top <= rows.top + 1 for one in shown)
    assert all(one.height >= hands.kiosk.panel.target_px - 0.5 for one in shown)


def box(widget: Widget) -> Box:
    left, low = widget.to_window(*widget.pos)
    return left, low, left + widget.width, low + widget.height


def meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


DAY = Basal.of(
    {
        "active": "Day",
        "rate_uu_per_h": 900_000,
        "profiles": {"Day": [{"start_min_of_day": 0, "rate_uu_per_h": 900_000}]},
    }
)


@pytest.mark.parametrize("panel", sorted(PANELS))
@pytest.mark.parametrize("way", ["temporary basal", "profile"])
def test_sr_07_what_confirms_shares_no_place_with_the_button_that_led_to_it(
    way: str, panel: str, tmp_path: Path
) -> None:
    nowhere = Places(tmp_path, tmp_path)
    with TIME.held(), kiosk_on(nowhere, PANELS[panel], start=False) as hands:
        hands.hear(snapshot_of())
        if way == "profile":
            in_use = Draft.of("Day", DAY.profiles["Day"], in_use=True)
            hands.kiosk.go("profile", draft=in_use.put(Piece(720, 1_000_000), None))
            led = hands.button("keep")
        else:
            hands.kiosk.go("temp")
            frames(2)
            types(hands, "110")
            tap(hands, "lasts")
            types(hands, "100")
            led = hands.button("review")
        frames(2)
        hands.settles()
        before = box(led)
        hands.tap(led)
        assert hands.screen() == "confirm"
        frames(3)
        hold = next(one for one in everything(hands.kiosk.frame) if isinstance(one, HoldButton))
        assert not meet(before, box(hold)), (before, box(hold))


def test_a_finger_on_a_button_whose_screen_has_gone_presses_nothing(
    hands: Hands, tmp_path: Path
) -> None:
    pressed: list[str] = []
    history = hands.button("history")
    history.bind(on_press=lambda *_: pressed.append("history"))
    finger = hands.finger_on(history).down()
    hands.kiosk.go("basal")
    frames(2)
    finger.up()
    assert (pressed, hands.screen()) == ([], "basal")
