"""A walk over every screen that fingers reach, with every button tapped, over the real pump."""

import time
from collections import deque
from collections.abc import Iterator

import pytest
from demo_harness import RunningDemo
from geometry import box_of, confirms, faults_of, share_area
from touch import Finger, Hands, frames, kiosk_on
from ui_pump import a_demo, put_right

from appliance.client.messages import PreferencesSetParams
from ui.clock import now_s
from ui.panels import PANELS
from ui.screens import SCREENS
from ui.widgets import HoldButton, Key
from ui.widgets.buttons import Touchable
from ui.words import words

FORCED = {"alarm", "no_contact", "inhibited"}
"""Shown by the pump's state alone; each has a test of its own."""
DEEP = {"name", "computer"}
"""Behind more taps than the walk makes on one screen (test_therapy.py), or of a machine of its own
alone (test_computer.py)."""
MOST_TAPS = 260
MOST_OF_A_SCREEN = 14
"""A list of zones has hundreds of rows that are all of one kind."""
Step = tuple[str, str]


def name_of(button: Touchable) -> str:
    return str(getattr(button, "key", "") or getattr(button, "text", "") or type(button).__name__)


class Crawler:
    """Taps what it has not tapped yet; finds its way back by the taps that led to a screen."""

    def __init__(self, hands: Hands, demo: RunningDemo) -> None:
        self.hands = hands
        self.demo = demo
        self.tapped: set[Step] = set()
        self.way: dict[str, list[Step]] = {"home": []}
        self.faults: dict[str, list[str]] = {}
        self.under_the_finger: list[str] = []
        self.led_elsewhere: list[str] = []

    def look(self) -> None:
        frames(3)
        screen = self.hands.screen()
        for fault in faults_of(self.hands):
            known = self.faults.setdefault(screen, [])
            if fault not in known:
                known.append(fault)

    def open_steps(self) -> list[Step]:
        screen = self.hands.screen()
        steps = [
            (screen, name_of(one))
            for one in self.hands.buttons()
            if one.enabled and name_of(one) != "STOP" and not isinstance(one, Key)
        ]
        done = sum(step[0] == screen for step in self.tapped)
        left = [step for step in dict.fromkeys(steps) if step not in self.tapped]
        return left[: max(0, MOST_OF_A_SCREEN - done)]

    def find(self, name: str) -> Touchable | None:
        return next((one for one in self.hands.buttons() if name_of(one) == name), None)

    def take(self, step: Step) -> bool:
        """Tap or hold a button; return whether it was there."""
        self.tapped.add(step)
        button = self.find(step[1])
        if button is None or not button.enabled:
            return False
        before, area = self.hands.screen(), box_of(button)
        finger = Finger((area[0] + area[2]) / 2, (area[1] + area[3]) / 2).down()
        if isinstance(button, HoldButton):
            self.hands.later(button.hold_s + 0.05)
            frames(2)
        finger.up()
        self.answered()
        after = self.hands.screen()
        if after != before:
            if any(share_area(area, confirm) for confirm in confirms(self.hands)):
                self.under_the_finger.append(f"{step} leads to a confirmation in the same place")
            if after not in self.way:
                self.way[after] = [*self.way.get(before, []), step]
        if before == "home" and after != step[1]:
            frame, live = self.hands.kiosk.frame, self.hands.kiosk.state.live
            self.led_elsewhere.append(
                f"{step} led to {after}: shade {frame.shade}, finger {frame._finger}, "
                f"{frame.stuck.stuck(now_s())}, {live and (live.state, live.raw['alarms'])}"
            )
        self.hands.settles()
        return True

    def answered(self) -> None:
        """Let the pump answer what a screen asks as it opens."""
        frames(4)
        view = self.hands.kiosk.page.view
        waits = getattr(view, "ready", True) is False
        end_s = time.monotonic() + 0.5
        while waits and time.monotonic() < end_s:
            frames(2)
            view = self.hands.kiosk.page.view
            against = getattr(view, "against", ()) or getattr(view, "message", "")
            waits = getattr(view, "ready", True) is False and not against

    def type_something(self) -> None:
        """Type a number where there is a pad, so that what waits for one can be touched."""
        for key in ("2",):
            button = self.find(key)
            if isinstance(button, Key) and button.enabled:
                self.hands.tap(button)
                self.hands.later(0.2)

    def home(self) -> None:
        """Put right what the taps have done to the pump, and go to the first screen."""
        frames()
        with self.demo.pump() as pump:
            status = pump.status()
        if status.alarms or status.state != "running" or self.hands.screen() in FORCED:
            put_right(self.demo)
            self.hands.sees(lambda: self.hands.screen() not in FORCED, "no alarm stands")
        self.hands.kiosk.go("home")
        self.hands.settles()

    def run(self) -> None:
        queue = deque(["home"])
        taps = 0
        while queue and taps < MOST_TAPS:
            screen = queue.popleft()
            while taps < MOST_TAPS and self.reach(screen):
                self.look()
                self.type_something()
                self.look()
                steps = self.open_steps()
                if not steps:
                    break
                known = set(self.way)
                self.take(steps[0])
                self.look()
                taps += 1
                queue.extend(sorted(set(self.way) - known))

    def reach(self, screen: str) -> bool:
        """Go to a screen the way that was found first; False where it does not lead there."""
        if self.hands.screen() == screen and screen != "home":
            return True
        self.home()
        for step in self.way[screen]:
            if self.hands.screen() != step[0]:
                return False
            self.type_something()
            self.take(step)
        return self.hands.screen() == screen


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """A pump of its own: whatever can be tapped is, up to another profile."""
    with a_demo(tmp_path_factory.mktemp("walked") / "demo") as running:
        yield running


@pytest.mark.parametrize(
    ("panel", "language"),
    [
        pytest.param("7-inch", "en", marks=pytest.mark.full),
        pytest.param("5-inch-portrait", "de", marks=pytest.mark.full),
        pytest.param("7-inch", "de", marks=pytest.mark.full),
        pytest.param("7-inch-portrait", "en", marks=pytest.mark.full),
        pytest.param("7-inch-portrait", "de", marks=pytest.mark.full),
        pytest.param("5-inch-portrait", "en", marks=pytest.mark.full),
    ],
)
@pytest.mark.timeout(240)
def test_every_screen_is_whole_and_every_target_is_9_mm(
    panel: str, language: str, rested: RunningDemo
) -> None:
    with rested.pump() as pump:  # the pump's own choice counts: an earlier walk has made one
        pump.set_preferences(PreferencesSetParams(language=language))
    words.use(language)
    try:
        with kiosk_on(rested.places, PANELS[panel]) as hands:
            hands.sees_screen("home")
            hands.settles()
            crawler = Crawler(hands, rested)
            crawler.run()
            crawler.home()
            hands.tap("STOP")
            hands.sees_screen("stopped")
            crawler.way["stopped"] = [("home", "STOP")]
            hands.sees(lambda: hands.kiosk.last_stop and hands.kiosk.last_stop.answered, "it stops")
            crawler.look()
    finally:
        with rested.pump() as pump:  # a tap has chosen another language
            pump.set_preferences(PreferencesSetParams(language="en"))
        words.use("en")
    said = [f"{screen}: {fault}" for screen, found in crawler.faults.items() for fault in found]
    said += crawler.under_the_finger
    missing = set(SCREENS) - set(crawler.way) - FORCED - DEEP
    if missing:  # a tap led elsewhere: say how things were then
        said += [f"{screen} is not reached" for screen in missing] + crawler.led_elsewhere
    assert not said, "\n".join(said)
