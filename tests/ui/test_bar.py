"""The bar at its fullest: simulated time, a bolus, reservoir and battery, on every panel."""

from pathlib import Path
from typing import Any

import pytest
from geometry import faults_of
from touch import TIME, frames, kiosk_on

from appliance.client import Places, Snapshot
from appliance.simulate.bench import VirtualBench
from ui.panels import PANELS
from ui.words import words

FULLEST = {
    "speed": 60,
    "reservoir_uu": 300_000_000,
    "reservoir_h": 333,
    "battery": {"percent": 100, "minutes": 120, "failing": False},
}


@pytest.fixture(scope="module")
def running() -> dict[str, Any]:
    """What an engine says of a bolus that runs."""
    bench = VirtualBench()
    bench.start_bolus("5")
    bench.run(5)
    said = dict(bench.snapshot())
    bench.close()
    return said


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("panel", sorted(PANELS))
def test_the_fullest_bar_is_whole_on_every_panel(
    panel: str, language: str, running: dict[str, Any], tmp_path: Path
) -> None:
    words.use(language)
    try:
        with (
            TIME.held(),
            kiosk_on(Places(tmp_path, tmp_path), PANELS[panel], start=False) as hands,
        ):
            hands.hear(Snapshot.of(running | FULLEST))
            hands.settles()
            frames(3)
            assert hands.reads("100%")
            assert hands.reads(words.text("Delivering"))
            faults = faults_of(hands)
    finally:
        words.use("en")
    assert not faults, "\n".join(faults)
