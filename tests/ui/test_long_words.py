"""The longest words on each panel, in each language: nothing is cut off, or on top of another."""

from pathlib import Path
from typing import Any

import pytest
from geometry import faults_of
from touch import TIME, Hands, frames, kiosk_on
from ui_desk import snapshot_of

from appliance.client import Places
from appliance.domain.alarms import TABLE, AlarmCode
from ui.panels import PANELS
from ui.presenters.desk import Stop
from ui.presenters.purpose import Purpose
from ui.words import words

LOCKED = {
    "locked": True,
    "why": [{"code": "x", "text": "read-back: 4 test edges sent, 0 read back"}],
}
HELD = {"state": "ok", "mg_dl": 64, "age_s": 60, "protection": {"rule": "low", "suspended": True}}
QUICK = {("7-inch", "de"), ("5-inch-portrait", "de")}
EVERY = [
    pytest.param(panel, language, marks=() if (panel, language) in QUICK else pytest.mark.full)
    for panel in sorted(PANELS)
    for language in ("en", "de")
]


def longest(priority: str) -> AlarmCode:
    """The alarm of a priority whose name is longest in the language in use."""
    codes = [code for code, kind in TABLE.items() if kind.priority.name.lower() == priority]
    return max(codes, key=lambda code: len(words.of_the_pump(TABLE[code].name)))


def alarm_of(code: AlarmCode) -> dict[str, Any]:
    kind = TABLE[code]
    return {
        "number": 7,
        "code": code.value,
        "name": kind.name,
        "priority": kind.priority.name.lower(),
        "text": "the plunger is pushed with 12022 mN (limit 12000)",
        "what_to_do": list(kind.what_to_do),
        "since_utc_ns": 1_763_820_309_000_000_000,
    }


@pytest.mark.parametrize(("panel", "language"), EVERY)
def test_the_longest_words_are_whole(panel: str, language: str, tmp_path: Path) -> None:
    nowhere = Places(tmp_path, tmp_path)
    usual: dict[str, Any] = {
        "preferences": {"language": language},
        "speed": 10,
        "reservoir_uu": 297_000_000,
        "reservoir_h": 13 * 24 + 14,
    }
    found: list[str] = []

    def look(hands: Hands, what: str) -> None:
        frames(6)
        found.extend(f"{what}: {fault}" for fault in faults_of(hands))

    try:
        with TIME.held(), kiosk_on(nowhere, PANELS[panel], start=False) as hands:
            hands.hear(snapshot_of(**usual))
            meal = Purpose(250, 20_000_000, 3_500_000)
            hands.kiosk.go("bolus", amount_uu=24_950_000, purpose=meal)
            look(hands, "bolus")
            hands.kiosk.go("review", amount_uu=24_950_000, purpose=meal)
            look(hands, "review")
            hands.hear(snapshot_of(**usual, glucose=HELD))
            hands.kiosk.go("basal")
            look(hands, "basal that glucose holds")
            for state in ("faulted", "inhibited"):
                hands.hear(snapshot_of(**usual, state=state, **LOCKED))
                hands.kiosk.last_stop = Stop(answered=True)
                for screen in ("basal", "stopped", "inhibited"):
                    hands.kiosk.go(screen)
                    look(hands, f"{screen}, {state}")
            for priority in ("high", "medium", "low"):
                code = longest(priority)
                hands.hear(snapshot_of(**usual, alarms=[alarm_of(code)]))
                look(hands, f"the alarm {code.value}")
            hands.kiosk.go("home")
            look(hands, "the strip")
            hands.settles()
            hands.tap(hands.kiosk.frame.ids.bar.ids.strip)
            assert hands.screen() == "alarm"
            look(hands, "the page of the strip")
    finally:
        words.use("en")
    assert not found, "\n".join(found)
