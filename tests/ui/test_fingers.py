"""Double taps, stuck fingers and keys, on every button of every screen; time stands still here.

The pump's state is one real snapshot, given to the kiosk by hand, so that nothing else moves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kivy.base import EventLoop
from kivy.core.window import Window
from touch import TIME, Finger, Flood, Hands, frames, kiosk_on

from appliance.client import HistoryRow, Places, Snapshot
from appliance.simulate.bench import VirtualBench
from ui.app import calm_input
from ui.fingers import CALM_S, STUCK_S
from ui.flood import MOST_WAITING
from ui.screens import SCREENS
from ui.tour import Fingertip
from ui.widgets import HoldButton, Key
from ui.widgets.buttons import Touchable

SHOWN_BY_STATE = {"no_contact", "alarm"}
ROW = HistoryRow.of({"seq": 7, "id": "00000000-0000-4000-8000-000000000007", "kind": "bolus"})
WORDS: dict[str, dict[str, object]] = {
    "leases": {"row": ROW},
    "review": {"amount_uu": 500_000},
}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """What a real engine says of itself, on a virtual clock."""
    bench = VirtualBench()
    bench.run(5)
    return Snapshot.of(dict(bench.snapshot()))


@contextmanager
def still(snapshot: Snapshot, tmp_path: Path) -> Iterator[Hands]:
    """A kiosk without a pump behind it; it asks, and nobody answers."""
    nowhere = Places(tmp_path, tmp_path)
    with TIME.held(), kiosk_on(nowhere, start=False) as hands:
        hands.hear(snapshot)
        yield hands


@pytest.fixture
def presses(monkeypatch: pytest.MonkeyPatch) -> list[Touchable]:
    """Every press that counted, of any button."""
    seen: list[Touchable] = []
    monkeypatch.setattr(Touchable, "on_press", lambda button, *_: seen.append(button))
    return seen


def shows(hands: Hands, screen: str) -> None:
    hands.kiosk.go(screen, **WORDS.get(screen, {}))
    assert hands.screen() == screen
    frames(2)
    hands.settles()


@pytest.mark.parametrize("screen", sorted(set(SCREENS) - SHOWN_BY_STATE))
def test_f36_sr_07_a_double_tap_on_any_button_acts_once_and_never_on_two_screens(
    screen: str, snapshot: Snapshot, tmp_path: Path, presses: list[Touchable]
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, screen)
        for place in range(len(hands.buttons())):
            for gap_ms in (10, 250, 500):
                shows(hands, screen)
                button = hands.buttons()[place]
                if isinstance(button, Key) or getattr(button, "text", "") == "STOP":
                    break  # keys have a test of their own; stopping twice is stopping
                double_tap(hands, button, gap_ms, presses)
                assert len(presses) <= 1 + button.chooses, (screen, button, gap_ms, presses)


@pytest.mark.parametrize("key", ["0", "7", ".", "erase", "clear"])
@pytest.mark.parametrize(
    ("gap_ms", "counted"), [(10, {1}), (49, {1}), (50, {1}), (119, {1, 2}), (120, {2}), (500, {2})]
)
def test_sr_06_a_key_of_the_pad_counts_once_within_50_ms_and_twice_from_120_ms_on(
    key: str,
    gap_ms: int,
    counted: set[int],
    snapshot: Snapshot,
    tmp_path: Path,
    presses: list[Touchable],
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        double_tap(hands, hands.button(key), gap_ms, presses)
        assert len(presses) in counted


def double_tap(hands: Hands, button: Touchable, gap_ms: int, presses: list[Touchable]) -> None:
    x_px, y_px = button.to_window(*button.center)
    presses.clear()
    Finger(x_px, y_px).down().up()
    hands.later(gap_ms / 1000)
    Finger(x_px, y_px).down().up()


@pytest.mark.parametrize("after_ms", [0, 250, 499, 501])
def test_sr_06_the_confirm_button_is_deaf_for_its_first_half_second(
    after_ms: int, snapshot: Snapshot, tmp_path: Path
) -> None:
    with still(snapshot, tmp_path) as hands:
        hands.kiosk.go("bolus")
        hands.settles()
        hands.kiosk.go("review", amount_uu=500_000)
        button = hands.kiosk.page.ids.first
        assert isinstance(button.__self__, HoldButton)
        frames(2)
        button.enabled = True
        hands.later(after_ms / 1000)
        Finger(*button.to_window(*button.center)).down()
        assert button.down == (after_ms >= 500)


def test_f38_a_second_finger_presses_nothing_but_stop(
    snapshot: Snapshot, tmp_path: Path, presses: list[Touchable]
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        first = hands.finger_on("5").down()
        hands.later(0.3)
        presses.clear()
        hands.tap("7")
        assert presses == []
        hands.tap("STOP")
        assert [one.text for one in presses] == ["STOP"]
        first.up()


def test_sr_11_a_touch_that_is_stuck_turns_entry_off_and_stop_still_counts(
    snapshot: Snapshot, tmp_path: Path, presses: list[Touchable]
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        stuck = hands.finger_on("5").down()
        hands.later(STUCK_S + 0.1)
        stuck.up()
        presses.clear()
        hands.later(1)
        hands.tap("7")
        assert presses == []
        assert hands.reads("Entry is off")
        hands.tap("STOP")
        assert [one.text for one in presses] == ["STOP"]


@pytest.mark.parametrize("ends", [True, False], ids=["taps", "fingers that stay"])
def test_f37_of_ten_thousand_touches_a_second_few_are_let_in_none_counts_and_stop_does(
    *,
    ends: bool,
    snapshot: Snapshot,
    tmp_path: Path,
    presses: list[Touchable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_in: list[str] = []
    hand_on = EventLoop.post_dispatch_input
    monkeypatch.setattr(
        EventLoop,
        "post_dispatch_input",
        lambda kind, touch: (let_in.append(kind), hand_on(kind, touch)),
    )
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        monkeypatch.setattr(EventLoop, "dispatch_input", calm_input(hands.kiosk.frame))
        flood = Flood(10_000 // 30, hands.button("STOP"), ends=ends)
        presses.clear()
        with flood.rages():
            for frame in range(30):
                flood.on_stop = frame == 20
                let_in.clear()
                TIME.forward(1 / 30)
                frames()
                assert len(let_in) <= MOST_WAITING
                # The frame that has read the touch on STOP has stopped.
                assert [one.text for one in presses] == (["STOP"] if frame >= 20 else [])
        assert hands.reads("Entry is off"), "these are no fingers"
        if ends:
            hands.kiosk.go("bolus")
            hands.later(CALM_S + 0.1)
            presses.clear()
            hands.tap("7")
            assert [one.key for one in presses] == ["7"], "entry is back"


def test_f37_fingers_as_fast_as_they_are_pass_the_floodgate_untouched(
    snapshot: Snapshot,
    tmp_path: Path,
    presses: list[Touchable],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        monkeypatch.setattr(EventLoop, "dispatch_input", calm_input(hands.kiosk.frame))
        seven = hands.button("7")
        person = Flood(0, hands.button("STOP"), ends=True)
        finger = Fingertip(*seven.to_window(*seven.center))
        kinds = iter(["begin", "update", "end"])
        person.update = lambda dispatch_fn: [dispatch_fn(kind, finger) for kind in kinds]
        presses.clear()
        with person.rages():
            frames(2)
        assert [one.key for one in presses] == ["7"]
        assert not hands.reads("Entry is off")


@pytest.mark.parametrize("size", [(480, 800), (720, 1280), (640, 400)])
def test_f42_a_confirmation_that_moves_under_the_finger_is_let_go_and_is_deaf_again(
    size: tuple[int, int], snapshot: Snapshot, tmp_path: Path
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "review")
        button, held = hands.kiosk.page.ids.first, []
        button.bind(on_held=held.append)
        button.enabled = True
        finger = Finger(*button.to_window(*button.center)).down()
        assert button.down
        hands.later(button.hold_s / 2)
        frames()
        assert button.filled > 0
        hands.kiosk.frame.size = size  # turned, or a window that was drawn larger
        frames(3)
        assert (button.down, button.filled) == (False, 0)
        hands.later(0.3)
        finger.up()
        button.enabled = True  # no pump has allowed it here, so each look forbids it anew
        again = Finger(*button.to_window(*button.center)).down()
        assert not button.down, "nobody has aimed at it there"
        again.up()
        hands.later(0.5)
        button.enabled = True
        Finger(*button.to_window(*button.center)).down()
        assert button.down
        assert held == []


def test_sr_09_unfinished_entry_is_gone_after_30_s_without_a_touch(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        hands.tap("7")
        hands.later(28)
        assert hands.kiosk.page.view.digits == "7"
        hands.later(2.1)
        hands.sees_screen("home")
        shows(hands, "bolus")
        assert hands.kiosk.page.view.digits == "0"


def test_sr_03_the_point_is_far_from_zero_on_every_pad(snapshot: Snapshot, tmp_path: Path) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        zero, point = hands.button("0"), hands.button(".")
        assert point.x > zero.right + zero.width
        assert point.y > zero.top + zero.height


def test_f43_no_key_leads_out_of_the_kiosk(
    snapshot: Snapshot, tmp_path: Path, presses: list[Touchable]
) -> None:
    """ESC, F1, F11, F12, Ctrl+E and 200 more, each as Kivy's window hands them on."""
    keys = [27, 282, 292, 293, 13, 8, 9, 32, 46, 112, 113, 319, 101, 277, 278, 1073742094]
    keys += list(range(97, 123)) + list(range(48, 58))
    modifiers = [[], ["ctrl"], ["alt"], ["shift"], ["meta"], ["ctrl", "alt"]]
    tried = 0
    with still(snapshot, tmp_path) as hands:
        for screen in ("home", "bolus"):
            shows(hands, screen)
            presses.clear()
            for key in keys:
                for held in modifiers[: 6 if screen == "home" else 2]:
                    Window.dispatch("on_key_down", key, 0, chr(key % 128), held)
                    Window.dispatch("on_keyboard", key, 0, chr(key % 128), held)
                    Window.dispatch("on_key_up", key, 0)
                    tried += 1
            frames(2)
            assert (hands.screen(), presses) == (screen, [])
            assert Window.children == [hands.kiosk.frame]
            assert EventLoop.status != "closed"
    assert tried >= 200


def alarmed(snapshot: Snapshot, priority: str) -> Snapshot:
    alarm = {
        "number": 7,
        "code": "A03",
        "name": "Low reservoir",
        "priority": priority,
        "text": "the reservoir holds 19.90 U",
        "what_to_do": ["Keep a fresh cartridge at hand."],
    }
    return Snapshot.of({**snapshot.raw, "alarms": [alarm]})


def test_an_alarm_of_low_priority_takes_a_strip_and_its_page_is_a_touch_away(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        hands.hear(alarmed(snapshot, "low"))
        assert (hands.screen(), hands.reads("Low reservoir")) == ("bolus", True)
        hands.tap("Low reservoir")
        hands.sees_screen("alarm")
        assert hands.reads("1. Keep a fresh cartridge at hand.")
        hands.hear(snapshot)
        hands.sees_screen("home")


@pytest.mark.parametrize("priority", ["medium", "high"])
def test_an_alarm_of_higher_priority_takes_the_screen_from_whatever_is_shown(
    priority: str, snapshot: Snapshot, tmp_path: Path
) -> None:
    with still(snapshot, tmp_path) as hands:
        shows(hands, "bolus")
        hands.hear(alarmed(snapshot, priority))
        assert hands.screen() == "alarm"
        assert {"BENCH", "STOP", "I have seen it"} <= set(hands.texts())
        hands.hear(snapshot)
        hands.sees_screen("home")
