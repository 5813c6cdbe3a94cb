"""Requirements and faults that no single room answers for: the whole pump on a virtual clock."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.simulate.bench import VirtualBench

ROOT = Path(__file__).parents[2]
LEASE = 27
HOUR_S = 3_600


def test_sr_19_the_plant_sees_exactly_the_edges_that_the_records_name() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    asked = 0
    for units in ("0.05", "0.1", "0.17", "1", "0.05", "2.33", "0.29"):
        before = bench.truth_steps
        dose = bench.bolus(units, speed="fast")
        asked += dose["programmed_steps"]
        moved = bench.truth_steps - before
        assert moved == dose["issued_steps"] == dose["confirmed_steps"] == dose["maximum_steps"]
        assert dose["certainty"] == "exact"
        bench.run(11)  # the least time between two
    assert bench.truth_steps == asked


@pytest.mark.parametrize("steps", range(0, 2 * LEASE + 1, 4))
def test_f02_killed_after_any_step_of_a_bolus_the_truth_is_inside_the_bounds(steps: int) -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    request_id = bench.start_bolus("0.2", speed="slow")
    bench.run_until(lambda: bench.truth_steps >= steps, 60)
    bench.kill_pump()
    bench.run(2)
    truth = bench.truth_steps
    bench.start_pump()
    bench.run(8)
    dose = bench.dose(request_id)
    assert dose["confirmed_steps"] <= truth <= dose["maximum_steps"]
    assert dose["maximum_steps"] - dose["confirmed_steps"] <= 2 * LEASE
    assert bench.state == "faulted"
    bench.run(60)
    assert bench.truth_steps == truth, "nothing is resumed"


@pytest.mark.parametrize("step_s", [-25 * HOUR_S, -HOUR_S, HOUR_S, 25 * HOUR_S, 400 * 86_400])
def test_sr_44_a_wall_clock_that_is_set_frees_no_room_under_a_limit(step_s: int) -> None:
    bench = VirtualBench(basal_uu_per_h=0)

    def against() -> list[str]:
        reply = bench.ask("bolus.review", request_id=NEXT, amount_uu=1_000_000, speed="normal")
        return sorted(one["code"] for one in reply["reasons"])

    bench.bolus("0.05", speed="fast")
    before = against()
    assert before, "so soon after a bolus another one is refused"
    bench.set_wall(step_s)
    bench.run(1)
    assert against() == before
    bench.run(61)
    assert against() == [], "and monotonic time alone lets the next one through"


NEXT = "00000000-0000-4000-8000-00000000ffff"


def test_sr_44_only_the_clock_adapter_may_ask_for_the_time(tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("NOT RUN: needs ruff, of the extra dev")
    for room in ("appliance/engine", "appliance/guard", "drivers", "appliance/adapters"):
        (tmp_path / room).mkdir(parents=True, exist_ok=True)
        (tmp_path / room / "planted.py").write_text(
            '"""Planted."""\n\nimport time\n\ntime.time()\n'
        )
    clock = tmp_path / "appliance" / "adapters" / "clock.py"
    clock.write_text((tmp_path / "drivers" / "planted.py").read_text())
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    words = [ruff, "check", "--no-cache", "--select", "TID251", "--output-format", "concise", "."]
    said = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    breaches = [line for line in said.stdout.splitlines() if "TID251" in line]
    assert sorted({line.split(":")[0] for line in breaches}) == [
        "appliance/adapters/planted.py",
        "appliance/engine/planted.py",
        "appliance/guard/planted.py",
        "drivers/planted.py",
    ]


def test_every_test_that_the_features_name_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/features.md").read_text()))
    there: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"def (test_\w+)", path.read_text()))
    assert len(named) > 50
    assert named - there == set()
