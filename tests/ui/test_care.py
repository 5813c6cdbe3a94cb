"""Cartridge, settings, reminders, first start, fault bench: by touch, on a pump of their own.

One pump for the whole file, new at its beginning: the tests tell its story in their order.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from demo_harness import RunningDemo, wait_for
from touch import Finger, Hands, everything, frames, kiosk_on

from appliance.client import KeeperClient, PumpError
from ui.panels import PANELS
from ui.presenters.cartridge import SetChangePresenter
from ui.theme import theme
from ui.widgets import HoldButton, RowList
from ui.widgets.buttons import Touchable
from ui.words import words

pytestmark = pytest.mark.full

SPEED = 3
PIN = "271828"


@pytest.fixture(scope="module")
def pump(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    folder = tmp_path_factory.mktemp("new") / "demo"
    running = RunningDemo(folder, speed=SPEED, first_start=True).start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def hands(pump: RunningDemo) -> Iterator[Hands]:
    with pump.pump() as asked:  # nothing of an earlier test, nor of a busy computer, stands
        asked.acknowledge(None)
    with kiosk_on(pump.places) as one:
        one.sees(lambda: one.kiosk.state.contact, "contact")
        frames(3)
        one.settles()
        yield one
    words.use("en")
    theme.use(dark=True)


# --- what a person does ---------------------------------------------------------------------------


def tap(hands: Hands, target: str) -> None:
    hands.settles()
    hands.tap(target)
    frames(2)


def types(hands: Hands, digits: str) -> None:
    tap(hands, "clear")
    for digit in digits:
        tap(hands, digit)


def pick(hands: Hands, key: str) -> None:
    """Touch the row of a key, dragged into sight where it is not there."""
    hands.settles()
    rows = the_list(hands)
    hands.sees(lambda: key in [one.key for one in rows.rows], f"the row {key!r}")
    at = [one.key for one in rows.rows].index(key)
    while not rows.offset <= at <= rows.offset + rows.fitting - 1:
        drag(hands, rows, at)
    line = next(one for one in rows._lines if one.key == key)
    hands.tap(line)
    frames(2)


def drag(hands: Hands, rows: RowList, at: int) -> None:
    """Drag a list towards a row, and hold still before the finger leaves."""
    down = at > rows.offset
    lack = at - rows.offset - rows.fitting + 1 if down else rows.offset - at
    reach_px = min(lack * rows.row_px, 0.7 * rows.height) + 4 * theme.target / 9
    low, high = rows.y + 0.1 * rows.height, rows.y + 0.9 * rows.height
    from_y, to_y = (low, low + reach_px) if down else (high, high - reach_px)
    finger = Finger(*rows.to_window(rows.center_x, from_y)).down()
    for part in (0.5, 1.0):
        finger.move(*rows.to_window(rows.center_x, from_y + part * (to_y - from_y)))
    hands.later(0.3)
    finger.move(*rows.to_window(rows.center_x, to_y))
    finger.up()
    hands.sees(lambda: rows.offset == round(rows.offset), "the list rests")
    hands.settles()


def the_list(hands: Hands) -> RowList:
    found = [one for one in everything(hands.kiosk.frame) if isinstance(one, RowList)]
    assert found, f"no list on {hands.screen()}: {hands.texts()}"
    return found[0]


def the_hold(hands: Hands) -> HoldButton:
    return next(one for one in everything(hands.kiosk.frame) if isinstance(one, HoldButton))


def value_of(hands: Hands, key: str) -> str:
    return next(one.value for one in the_list(hands).rows if one.key == key)


def is_done(hands: Hands, step: str) -> None:
    """See a step of the first start done: the next snapshot has it."""
    hands.sees_screen("first_start")
    hands.sees(
        lambda: next(one.tone for one in the_list(hands).rows if one.key == step) == "in_range",
        f"{step} is done",
    )


def goes(hands: Hands, screen: str) -> None:
    """Come from home by touch: through the menu."""
    if hands.screen() != "home":
        hands.kiosk.go("home")
        frames(2)
    tap(hands, "menu")
    hands.sees_screen("menu")
    hands.settles()
    shown = dict(hands.kiosk.page.view.buttons)
    hands.tap(shown[screen])
    frames(3)


def step_of(hands: Hands) -> SetChangePresenter:
    presenter = hands.kiosk.page.presenter
    assert isinstance(presenter, SetChangePresenter)
    return presenter


def confirms(hands: Hands) -> None:
    """Declare in the foot; then hold the button, which is in another place (SR-07, SR-32)."""
    tap(hands, "declare")
    hands.sees(lambda: hands.kiosk.page.view.hold, "the second question")
    hands.settles()
    button, foot = the_hold(hands), hands.kiosk.frame.ids.foot
    assert button.to_window(0, button.y)[1] > foot.top, "not where the first one was"
    hands.hold(button, lambda: hands.kiosk.page.view.hold == "", 8)


# --- the story ------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
def test_sr_32_by_touch_from_an_empty_ledger_to_the_first_confirmed_microstep(
    hands: Hands, pump: RunningDemo
) -> None:
    hands.sees_screen("first_start")  # a new pump begins there by itself
    tap(hands, "go")
    pick(hands, "en")
    is_done(hands, "language")
    tap(hands, "go")
    pick(hands, "Europe")
    pick(hands, "Europe/Berlin")
    is_done(hands, "zone")
    tap(hands, "leave")  # and taken up again: the pump knows what is done
    hands.sees_screen("home")
    goes(hands, "first_start")
    hands.sees(lambda: value_of(hands, "zone") == "Europe/Berlin", "what was done")
    tap(hands, "go")  # the PIN
    types(hands, PIN)
    tap(hands, "take")
    types(hands, PIN)
    tap(hands, "take")
    is_done(hands, "pin")
    pick(hands, "load")  # not yet: it would move
    hands.sees_text("First: ")
    tap(hands, "go")
    pick(hands, "200000000")
    pick(hands, "test")
    is_done(hands, "syringe")
    tap(hands, "go")
    for _limit in range(5):
        tap(hands, "take")
    is_done(hands, "limits")
    tap(hands, "go")
    types(hands, "1.2")
    tap(hands, "take")
    is_done(hands, "profile")
    assert pump.bench()["steps_forward"] == pump.bench()["steps_reverse"] == 0

    tap(hands, "go")
    hands.sees_screen("set_change")
    pump.bench("set", syringe="out", carriage_steps=600)
    confirms(hands)
    hands.sees(lambda: step_of(hands).at == "load", "the carriage is back", 30)
    pump.bench("set", syringe="in")
    tap(hands, "load")
    hands.sees(lambda: step_of(hands).at == "prime", "loaded")
    tap(hands, "amount")
    types(hands, "1")
    tap(hands, "take")
    confirms(hands)
    hands.sees_text("1.00 U of 1.00 U confirmed", 30)
    tap(hands, "next")
    tap(hands, "next")  # nothing to fill
    tap(hands, "beaker")
    tap(hands, "finish")
    is_done(hands, "load")
    steps = hands.kiosk.state.snapshot.raw["confirmed_steps"]
    assert value_of(hands, "load") == "199 U"
    tap(hands, "go")
    hands.sees_screen("home", 40)
    hands.sees(
        lambda: hands.kiosk.state.snapshot.raw["confirmed_steps"] > steps, "the first step", 60
    )
    with pump.pump() as asked:
        cartridge, limits = asked.cartridge(), asked.limits().limits
        assert asked.status().zone == "Europe/Berlin"
        assert cartridge["sites"][0]["site"] == "beaker"
        assert cartridge["wasted_uu"]["prime"] in range(998_000, 1_000_001)
    assert limits["max_bolus_uu"] == 10_000_000
    assert pump.verdict().ok


def test_sr_32_letting_go_early_or_going_away_moves_nothing(
    hands: Hands, pump: RunningDemo
) -> None:
    with pump.pump() as asked:
        asked.resume()
    hands.kiosk.go("home")
    tap(hands, "cartridge")
    tap(hands, "prime")
    hands.sees_text("Delivery has to stop first")
    tap(hands, "suspend")
    hands.sees_text("Fill the tubing")
    # The steps that were out are counted first: until then the motor is busy.
    wait_for(lambda: not pump.status().raw["motor"]["leases_open"], "the motor is at rest")
    before = pump.bench()["steps_forward"]
    tap(hands, "declare")
    hands.sees(lambda: hands.kiosk.page.view.hold, "the second question")
    hands.settles()
    hands.hold(the_hold(hands), lambda: the_hold(hands).filled > 0.4)
    hands.sees_text("Let go too early")
    tap(hands, "cancel")
    hands.sees(lambda: not hands.kiosk.page.view.hold, "the first question again")
    tap(hands, "leave")
    hands.sees_screen("cartridge")
    assert pump.bench()["steps_forward"] == before
    assert pump.status().raw["cartridge"]["running"] is None


def test_a_prime_is_stopped_from_its_screen_and_says_exactly_what_went_out(
    hands: Hands, pump: RunningDemo
) -> None:
    hands.kiosk.go("set_change", at="prime", then="cartridge")
    frames(2)
    confirms(hands)
    hands.sees(lambda: hands.kiosk.page.view.share > 0.02, "it runs")
    tap(hands, "halt")
    hands.sees_text("It was stopped", 20)
    told = hands.kiosk.page.view.message
    prime = next(one for one in wait_for(lambda: history(pump), "history") if one.kind == "prime")
    assert f"{prime.confirmed_steps:,} steps" in told
    tap(hands, "leave")


def history(pump: RunningDemo) -> list[Any]:
    try:
        with KeeperClient(pump.places.keeper_socket) as keeper:
            return list(keeper.history(rows=60))
    except PumpError:
        return []


def test_sr_65_settings_wait_for_the_pin_and_keep_what_the_pump_took(
    hands: Hands, pump: RunningDemo
) -> None:
    goes(hands, "settings")
    hands.sees_text("Settings are locked")
    types(hands, "999999")
    tap(hands, "take")
    hands.sees_text("Wrong PIN")
    types(hands, PIN)
    tap(hands, "take")
    hands.sees_screen("settings")
    pick(hands, "max_bolus_uu")
    types(hands, "30")  # above the machine's ceiling: the pump says so, and nothing changes
    tap(hands, "take")
    hands.sees_text("Allowed are 0.05 U to 25.00 U.")
    types(hands, "7.5")
    tap(hands, "take")
    hands.sees_text("Saved.")
    hands.sees(lambda: value_of(hands, "max_bolus_uu") == "7.50 U", "the new limit")
    pick(hands, "low_reservoir_uu")
    types(hands, "25")
    tap(hands, "take")
    hands.sees(
        lambda: hands.screen() == "settings" and value_of(hands, "low_reservoir_uu") == "25.00 U"
    )
    pick(hands, "theme")
    pick(hands, "light")
    hands.sees(lambda: not theme.dark, "the light look")
    pick(hands, "theme")
    pick(hands, "dark")
    hands.sees(lambda: theme.dark, "the dark look")
    with pump.pump() as asked:
        assert asked.limits().limits["max_bolus_uu"] == 7_500_000
        assert asked.alerts()["low_reservoir_uu"] == 25_000_000
    tap(hands, "lock")
    hands.sees_screen("home")
    goes(hands, "settings")
    hands.sees_text("Settings are locked")


def test_a_reminder_is_set_and_taken_away_by_touch(hands: Hands, pump: RunningDemo) -> None:
    goes(hands, "reminders")
    pick(hands, "own")
    pick(hands, "Weigh the beaker")
    types(hands, "1830")
    hands.sees_text("18:30")
    tap(hands, "take")
    hands.sees_text("Settings are locked")  # what was typed is kept until the PIN is there
    types(hands, PIN)
    tap(hands, "take")
    hands.sees_screen("reminders")
    with pump.pump() as asked:
        assert asked.reminders()["personal"] == [{"at_min": 1_110, "name": "Weigh the beaker"}]
        pick(hands, "own 0")
        wait_for(lambda: asked.reminders()["personal"] == [], "it is gone")


def test_a_fault_begins_and_ends_under_a_finger_and_the_log_has_its_alarm(
    hands: Hands, pump: RunningDemo
) -> None:
    goes(hands, "fault_bench")
    pick(hands, "fault readback_miss")
    hands.sees_text("The read-back misses the next edges")
    tap(hands, "turn")
    wait_for(lambda: "readback_miss" in pump.bench()["faults"], "the fault is on")
    hands.sees(lambda: value_of(hands, "fault readback_miss") == "ON", "and is shown")
    tap(hands, "clear")
    wait_for(lambda: pump.bench()["faults"] == {}, "all are over")
    hands.sees(
        lambda: f"{pump.bench()['steps_forward']:,}" in [one.value for one in the_list(hands).rows],
        "the plant's own count",
    )


def test_about_names_the_head_of_the_ledger_and_every_line_of_the_self_test(
    hands: Hands, pump: RunningDemo
) -> None:
    goes(hands, "about")
    lines = [(one.text, one.value) for one in the_list(hands).rows]
    rows = dict(lines)
    head = hands.kiosk.state.snapshot.ledger["head"]
    assert rows["Its last hash"] == f"{head[:8]} … {head[-8:]}"
    for check in pump.status().self_test:
        assert (check.name, "passed" if check.ok else "failed") in lines
    assert rows["pumpd"] == f"process {pump.pid('pumpd')}"


@pytest.mark.parametrize("panel", sorted(PANELS))
def test_the_places_on_the_map_are_fingers_apart_on_every_panel(
    pump: RunningDemo, panel: str
) -> None:
    with kiosk_on(pump.places, PANELS[panel]) as hands:
        hands.sees(lambda: hands.kiosk.state.contact, "contact")
        with pump.pump() as asked:
            asked.acknowledge(None)
            if asked.status().state == "running":
                asked.suspend()
        hands.sees(lambda: hands.kiosk.state.snapshot.state != "running", "nothing is delivered")
        hands.kiosk.go("set_change", at="site")
        frames(6)
        spots = [one for one in everything(hands.kiosk.page) if type(one).__name__ == "Spot"]
        assert len(spots) == 9
        for one in spots:
            assert min(one.width, one.height) >= theme.target
            assert inside(one, hands), one.key
            for other in spots:
                apart = (
                    (one.center_x - other.center_x) ** 2 + (one.center_y - other.center_y) ** 2
                ) ** 0.5
                assert one is other or apart >= 0.98 * theme.target, (panel, one.key, other.key)


def inside(one: Touchable, hands: Hands) -> bool:
    left, low = one.to_window(one.x, one.y)
    panel = hands.kiosk.panel
    foot = hands.kiosk.frame.ids.foot.top
    return left >= 0 and left + one.width <= panel.width_px and low >= foot
