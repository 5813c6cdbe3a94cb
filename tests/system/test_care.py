"""Light, sound, lock and cartridge with the real programs: what a person does in a first hour."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo_harness import RunningDemo, wait_for

pytestmark = [pytest.mark.full, pytest.mark.timeout(150)]
PIN = "271828"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    def by_person(text: str) -> str:
        return text.replace('signals = "feedback"', 'signals = "person"')

    running = RunningDemo(tmp_path / "d", edit=by_person).start()
    yield running
    running.stop()


def pumpctl(demo: RunningDemo, *words: str, **environment: str) -> tuple[int, str, str]:
    import os

    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "--dir", str(demo.folder), *words],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


def test_light_sound_lock_and_cartridge_with_the_real_programs(demo: RunningDemo) -> None:
    status, said, told = pumpctl(demo, "bolus", "0.5", "--yes", "--wait")
    assert (status, "exact; done" in said) == (0, True), told
    assert "nobody looked" in told  # SR-53: --yes answered for nobody, and says so
    log = wait_for(
        lambda: _log(demo, "light and sound confirmed (nobody looked)"), "the check is in the log"
    )
    assert log
    _a_dead_buzzer_is_found(demo)
    _settings_wait_for_the_pin(demo)
    _a_rewind_reaches_the_end_stop(demo)


def _log(demo: RunningDemo, text: str) -> list[Any]:
    rows = json.loads(pumpctl(demo, "alarms", "--log", "--json")[1])["rows"]
    return [row for row in rows if text in row["text"]]


def _a_dead_buzzer_is_found(demo: RunningDemo) -> None:
    """SR-54, F64."""
    demo.bench("inject", name="buzzer_dead")
    pumpctl(demo, "check-signals", "--yes")

    def lost() -> bool:
        return [one.name for one in demo.status().alarms] == ["Light or sound is lost"]

    wait_for(lost, "the dead buzzer is an alarm")
    status, _, told = pumpctl(demo, "bolus", "0.5", "--yes")
    assert (status, "might not be seen or heard" in told) == (1, True)
    demo.bench("clear", name="buzzer_dead")
    pumpctl(demo, "ack", "--all")
    assert pumpctl(demo, "check-signals", "--yes")[0] == 0


def _settings_wait_for_the_pin(demo: RunningDemo) -> None:
    """SR-65, F69: the file, the thread and the ledger are the real ones."""
    assert pumpctl(demo, "pin", "set", BENCHPUMP_NEW_PIN=PIN)[0] == 0
    kept = demo.folder / "state/pin"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert pumpctl(demo, "limits", "set", "--hourly", "12")[0] == 2
    assert pumpctl(demo, "limits", "set", "--hourly", "12", BENCHPUMP_PIN="999999")[0] == 1
    assert pumpctl(demo, "limits", "set", "--hourly", "12", BENCHPUMP_PIN=PIN)[0] == 0
    ledger = demo.places.ledger.read_bytes()
    assert json.loads(kept.read_text())["hash"].encode() not in ledger
    assert PIN.encode() not in ledger


def _a_rewind_reaches_the_end_stop(demo: RunningDemo) -> None:
    """SR-32, SR-33."""
    assert pumpctl(demo, "cartridge", "rewind", "--yes")[0] == 1  # basal runs
    pumpctl(demo, "suspend")
    demo.bench("set", syringe="out", carriage_steps=2_000)
    status, said, told = pumpctl(demo, "cartridge", "rewind", "--yes")
    assert (status, "exact; done" in said) == (0, True), told
    truth = demo.bench()
    assert truth["at_end"]
    assert 1_990 <= truth["steps_reverse"] <= 2_010
    demo.bench("set", syringe="in")
    assert pumpctl(demo, "cartridge", "load", "200", "--kind", "rapid")[0] == 0
    status, said, told = pumpctl(demo, "cartridge", "prime", "8", "--yes")
    assert (status, "exact; done" in said) == (0, True), told
    assert not demo.bench()["at_end"]
    assert pumpctl(demo, "cartridge", "finish", "--site", "left, upper")[0] == 0
    assert pumpctl(demo, "resume")[0] == 0
    assert demo.verdict().ok
