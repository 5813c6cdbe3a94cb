"""SR-56: hours in which nothing is wrong, by the plant's noisy sensors, and no alarm in them."""

import importlib.util
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "false_alarms", Path(__file__).parents[2] / "tools/false_alarms.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
tool = sys.modules.setdefault("false_alarms", importlib.util.module_from_spec(_SPEC))
_SPEC.loader.exec_module(tool)


def test_sr_56_two_hours_of_noise_drift_and_doses_raise_no_alarm() -> None:
    found = tool.quiet_hours(2, seed=3)
    assert found.alarms == ()
    assert found.boluses > 0
    assert found.least_mn < 1_000 < found.most_mn, "the sensor was never noisy"


@pytest.mark.full
@pytest.mark.timeout(900)
def test_sr_56_three_days_of_noise_drift_and_doses_raise_no_alarm() -> None:
    found = tool.quiet_hours(72, seed=1)
    assert found.alarms == ()
    assert found.boluses > 20
