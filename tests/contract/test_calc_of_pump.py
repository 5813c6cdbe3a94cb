"""``pumpctl calc`` with a pump attached: ratios, target and insulin on board are the pump's own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from bench_pump import BenchPump, bench_pump

DAY = """
name = "Two"
[[segments]]
start = "00:00"
rate = "0.8"
carb_ratio = "12"
sensitivity = "40"
target = "100"
[[segments]]
start = "08:30"
rate = "1"
carb_ratio = "10"
sensitivity = "50"
target = "110"
"""


@pytest.fixture
def pump(tmp_path: Any) -> Iterator[BenchPump]:
    file = tmp_path / "two.toml"
    file.write_text(DAY)
    with bench_pump(basal_uu_per_h=800_000, pace=50) as pump:  # it is 08:00
        assert pump.pumpctl("basal", "import", str(file)).exit_code == 0
        assert pump.pumpctl("basal", "use", "Two").exit_code == 0
        yield pump


def calc(pump: BenchPump, *words: str) -> dict[str, Any]:
    result = pump.pumpctl("calc", *words, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_the_segment_that_runs_and_what_is_on_board_are_taken_from_a_real_pump(
    pump: BenchPump,
) -> None:
    early = calc(pump, "--carbs", "48", "--glucose", "180")
    taken = {key: early["inputs"][key] for key in early["inputs"] if not key.startswith("glucose")}
    assert (taken["ratio_mg_per_u"], taken["sensitivity_mg_dl_per_u"]) == (12_000, 40)
    assert (taken["target_mg_dl"], taken["bolus_iob_uu"]) == (100, 0)
    assert (early["food_u"], early["correction_u"], early["total_u"]) == (4.0, 2.0, 6.0)
    pump.pumpctl("bolus", "2", "--yes", "--no-wait")
    pump.run(3_600)  # over 08:30, and an hour after the bolus
    later = calc(pump, "--carbs", "45", "--glucose", "160")
    shown = pump.bench.snapshot()["iob_uu"]
    assert 1_400_000 < shown["bolus"] < 1_700_000
    assert later["inputs"]["bolus_iob_uu"] == shown["bolus"]
    assert later["inputs"]["basal_iob_uu"] == shown["basal"]
    assert (later["food_u"], later["correction_u"]) == (4.5, 1.0)
    left_uu = 5_500_000 - shown["bolus"] - max(0, shown["basal"])
    assert later["total_uu"] == left_uu // 50_000 * 50_000


def test_every_calculator_answers_from_a_real_pump(pump: BenchPump) -> None:
    compared = calc(pump, "--carbs", "45", "--glucose", "180", "--compare")
    totals = {name: one["total_uu"] for name, one in compared["calculators"].items()}
    assert len(totals) == 8
    assert all(total is not None and total > 0 for total in totals.values()), totals
