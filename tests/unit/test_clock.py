"""The pump's clock: one pace for every program of a demo, and never back."""

import json
from pathlib import Path

import pytest

from appliance.adapters.clock import Start, SystemClock
from appliance.errors import BadConfiguration


def test_a_demo_that_is_started_again_goes_on_from_where_its_clock_was(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    Start.following(path, 60).save(path)
    first = SystemClock("UTC", Start.load(path))
    before = first.read()
    for speed in (60, 1, 600):
        Start.following(path, speed).save(path)
        again = SystemClock("UTC", Start.load(path)).read()
        assert again.mono_ns >= before.mono_ns
        assert again.utc_ns >= before.utc_ns
        before = again


def test_the_clock_of_another_boot_is_not_this_ones(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    Start.now(60).save(path)
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "boot_id": "another", "base_ns": 10**18}))
    with pytest.raises(BadConfiguration, match="another boot"):
        Start.load(path)
    assert Start.following(path, 60).base_ns < 10**17


def test_two_programs_of_a_demo_read_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "clock.json"
    Start.now(60).save(path)
    one, other = (SystemClock("UTC", Start.load(path)) for _ in range(2))
    before = one.monotonic_ns()
    between = other.monotonic_ns()
    assert before <= between <= one.monotonic_ns()


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", ""])
def test_a_zone_that_does_not_exist_is_named(zone: str) -> None:
    with pytest.raises(BadConfiguration, match="time zone"):
        SystemClock(zone)
