"""Temporary basal over the real engine, stepper and guard in virtual time; the plant is the
oracle.
"""

from typing import Any

import pytest

from appliance.domain.units import NS_PER_S
from appliance.simulate.bench import Refusal, VirtualBench

RATE = 1_000_000
PACE = 200


def pump(**more: Any) -> VirtualBench:
    return VirtualBench(**({"basal_uu_per_h": RATE, "pace": PACE} | more))


def delivered_uu(bench: VirtualBench, seconds: float) -> int:
    before = bench.truth_steps
    bench.run(seconds)
    return bench.mechanics.uu_of(bench.truth_steps - before)


def near(amount_uu: int, wanted_uu: int) -> bool:
    """Within two microsteps: one at each end of the time that was looked at."""
    return abs(amount_uu - wanted_uu) <= 2 * 1_841 + 1


def temp_rows(bench: VirtualBench) -> list[tuple[str, str, int]]:
    bodies = [row.entry.body for row in bench.rows("temp")]
    return [(body["event"], body["temp"], body["value"]) for body in bodies]


@pytest.mark.parametrize(
    ("kind", "value", "rate"),
    [("percent", 150, 1_500_000), ("percent", 0, 0), ("rate", 800_000, 800_000), ("rate", 0, 0)],
)
def test_a_temporary_basal_gives_its_rate_for_its_time_and_the_profile_returns(
    kind: str, value: int, rate: int
) -> None:
    bench = pump()
    bench.run(60)
    answer = bench.ask("temp.start", kind=kind, value=value, duration_s=1_800)
    assert answer["notices"] == []
    assert (answer["temp"]["rate_uu_per_h"], answer["temp"]["left_s"]) == (rate, 1_800)
    assert near(delivered_uu(bench, 1_800), rate // 2)
    assert near(delivered_uu(bench, 1_800), RATE // 2)
    assert bench.snapshot()["temp"] is None
    assert temp_rows(bench) == [("begun", kind, value), ("ended", kind, value)]
    assert bench.rows("temp")[-1].entry.body["why"] == "its time is over"


def test_a_block_that_another_rate_took_the_place_of_is_stopped_and_no_fault() -> None:
    bench = pump()
    bench.run(300)
    bench.ask("temp.start", kind="percent", value=150, duration_s=1_800)
    bench.run(300)
    first = bench.rows("closed")[0].entry.body
    assert (first["outcome"], first["why"], first["certainty"]) == (
        "stopped",
        "another rate took its place",
        "exact",
    )


def test_a_percentage_follows_the_profile_over_its_segments() -> None:
    bench = pump(set_up=True)
    now_min = bench.pump._basal.ns_of_day(bench.now_ns) // (60 * NS_PER_S)
    segments = [
        {"start_min_of_day": 0, "rate_uu_per_h": 1_000_000},
        {"start_min_of_day": now_min + 15, "rate_uu_per_h": 4_000_000},
    ]
    bench.ask("basal.import", name="Two", segments=segments, replace=False, confirm=True)
    bench.ask("basal.use", name="Two")
    bench.ask("temp.start", kind="percent", value=50, duration_s=1_800)
    to_change_s = (15 * 60) - (bench.pump._basal.ns_of_day(bench.now_ns) // NS_PER_S) % 60
    assert near(delivered_uu(bench, to_change_s), 500_000 * to_change_s // 3_600)
    assert bench.snapshot()["temp"]["rate_uu_per_h"] == 2_000_000
    assert near(delivered_uu(bench, 300), 2_000_000 * 300 // 3_600)


def test_a_new_temporary_basal_ends_the_old_one_at_its_start_and_cancel_ends_both() -> None:
    bench = pump()
    bench.ask("temp.start", kind="percent", value=200, duration_s=3_600)
    bench.run(600)
    bench.ask("temp.start", kind="rate", value=500_000, duration_s=900)
    assert near(delivered_uu(bench, 600), 500_000 // 6)
    bench.ask("temp.cancel")
    assert near(delivered_uu(bench, 900), RATE // 4)
    assert temp_rows(bench) == [
        ("begun", "percent", 200),
        ("ended", "percent", 200),
        ("begun", "rate", 500_000),
        ("ended", "rate", 500_000),
    ]
    assert [row.entry.body["why"] for row in bench.rows("temp") if "why" in row.entry.body] == [
        "another one took its place",
        "cancelled by uid 0",
    ]
    with pytest.raises(Refusal, match="no temporary basal runs"):
        bench.ask("temp.cancel")


def test_a_temporary_basal_goes_on_after_a_suspend_if_time_is_left() -> None:
    bench = pump()
    bench.ask("temp.start", kind="percent", value=50, duration_s=1_800)
    bench.run(300)
    bench.ask("suspend")
    assert delivered_uu(bench, 600) == 0
    assert bench.snapshot()["temp"]["left_s"] in range(900, 960)
    bench.ask("resume")
    assert near(delivered_uu(bench, 895), RATE // 2 * 895 // 3_600)
    bench.run(10)
    bench.ask("suspend")
    bench.ask("resume")
    assert bench.snapshot()["temp"] is None
    assert near(delivered_uu(bench, 900), RATE // 4)


def test_the_basal_limit_holds_a_temporary_basal_down_and_says_so() -> None:
    bench = pump(basal_uu_per_h=3_000_000)
    bench.ask("limits.set", **_limits(max_basal_uu_per_h=4_000_000))
    answer = bench.ask("temp.start", kind="percent", value=200, duration_s=1_800)
    notice = "200 % of the 3.000 U/h from 00:00 on is over the basal limit: 4.000 U/h is given"
    assert answer["notices"] == [notice + " instead"]
    assert answer["temp"]["capped"]
    assert bench.rows("temp")[-1].entry.body["notices"] == answer["notices"]
    assert near(delivered_uu(bench, 900), 1_000_000)
    answer = bench.ask("temp.start", kind="rate", value=5_000_000, duration_s=900)
    assert answer["notices"] == ["5.000 U/h is over the basal limit: 4.000 U/h is given instead"]
    assert near(delivered_uu(bench, 800), 4_000_000 * 800 // 3_600)


def test_new_limits_hold_down_a_temporary_basal_that_runs() -> None:
    bench = pump()
    bench.ask("temp.start", kind="percent", value=250, duration_s=3_600)
    bench.run(60)
    bench.ask("limits.set", **_limits(max_basal_uu_per_h=1_500_000))
    assert near(delivered_uu(bench, 900), 1_500_000 // 4)


@pytest.mark.parametrize(
    ("kind", "value", "duration_s", "said"),
    [
        ("percent", 251, 1_800, "percent = 251 is out of range: 0 to 250"),
        ("percent", -1, 1_800, "percent = -1 is out of range"),
        ("rate", 24_000, 1_800, "rate_uu_per_h = 24000 is out of range: 0, or 25000 to 35000000"),
        ("rate", 35_001_000, 1_800, "rate_uu_per_h = 35001000"),
        ("rate", 800_500, 1_800, "a multiple of 1000"),
        ("percent", 100, 899, "duration_s = 899 is out of range: 900 to 86400"),
        ("percent", 100, 86_401, "duration_s = 86401 is out of range"),
    ],
)
def test_a_temporary_basal_out_of_range_is_refused_by_field_value_and_range(
    kind: str, value: int, duration_s: int, said: str
) -> None:
    bench = pump()
    with pytest.raises(Refusal, match=said):
        bench.ask("temp.start", kind=kind, value=value, duration_s=duration_s)
    assert bench.rows("temp") == []


def test_a_pump_that_does_not_run_takes_no_temporary_basal() -> None:
    bench = pump()
    bench.ask("suspend")
    with pytest.raises(Refusal, match="the pump is suspended"):
        bench.ask("temp.start", kind="percent", value=50, duration_s=1_800)
    with pytest.raises(Refusal, match="no limits are set"):
        pump(set_up=False).ask("temp.start", kind="percent", value=50, duration_s=1_800)


@pytest.mark.parametrize("crash", [False, True], ids=["after a clean end", "after a crash"])
@pytest.mark.parametrize("off_s", [600, 3_000])
def test_a_temporary_basal_goes_on_after_a_restart_with_what_time_is_left(
    off_s: int, *, crash: bool
) -> None:
    bench = pump()
    bench.ask("temp.start", kind="percent", value=50, duration_s=1_800)
    bench.run(60)
    bench.kill_pump() if crash else bench.stop_pump()
    bench.run(off_s)
    bench.start_pump()
    bench.run_until(lambda: bench.state != "starting", 20 * PACE)
    if crash:
        assert bench.state == "faulted"
        bench.ask("alarms.acknowledge", number=None)
        bench.ask("resume")
    assert bench.state == "running"
    left = off_s == 600
    assert bool(bench.snapshot()["temp"]) is left
    assert near(delivered_uu(bench, 600), RATE // (12 if left else 6))


def test_over_another_boot_without_a_synchronised_clock_the_profile_returns() -> None:
    bench = pump()
    bench.ask("temp.start", kind="percent", value=50, duration_s=1_800)
    bench.stop_pump()
    bench.boot += 1
    bench.start_pump()
    bench.run_until(lambda: bench.state == "running", 20 * PACE)
    bench.run(5)
    assert bench.snapshot()["temp"] is None
    assert bench.rows("temp")[-1].entry.body["why"] == "how long the pump was off is not known"
    assert near(delivered_uu(bench, 900), RATE // 4)


def test_over_another_boot_with_a_synchronised_clock_it_goes_on_with_what_is_left() -> None:
    bench = pump()
    bench.synchronised = True
    bench.run(2)
    bench.ask("temp.start", kind="percent", value=50, duration_s=1_800)
    bench.stop_pump()
    bench.run(600)
    bench.boot += 1
    bench.start_pump()
    bench.run_until(lambda: bench.state == "running", 20 * PACE)
    bench.run(5)
    assert 1_100 <= bench.snapshot()["temp"]["left_s"] <= 1_200
    assert near(delivered_uu(bench, 900), RATE // 8)


def test_presets_are_kept_used_and_forgotten() -> None:
    bench = pump()
    bench.ask("temp.save", name="Sport", kind="percent", value=50, duration_s=3_600)
    assert bench.ask("temp.presets")["presets"] == {
        "Sport": {"kind": "percent", "value": 50, "duration_s": 3_600}
    }
    assert bench.ask("temp.use", name="Sport")["temp"]["value"] == 50
    bench.ask("temp.delete", name="Sport")
    with pytest.raises(Refusal, match="no preset 'Sport'; known: none"):
        bench.ask("temp.use", name="Sport")
    with pytest.raises(Refusal, match="percent = 300"):
        bench.ask("temp.save", name="Much", kind="percent", value=300, duration_s=900)
    for number in range(12):
        name = f"Preset {number}"
        bench.ask("temp.save", name=name, kind="rate", value=0, duration_s=900)
    with pytest.raises(Refusal, match="there are 12 presets already"):
        bench.ask("temp.save", name="One more", kind="rate", value=0, duration_s=900)


def test_sr_14_a_bolus_is_projected_with_the_temporary_basal() -> None:
    bench = pump()
    bench.ask("limits.set", **_limits(hourly_uu=3_000_000))
    bench.ask("temp.start", kind="percent", value=250, duration_s=7_200)
    with pytest.raises(Refusal, match="within 60 min"):
        bench.start_bolus("1")
    bench.ask("temp.cancel")
    bench.start_bolus("1")


def _limits(**changed: int) -> dict[str, int]:
    wide = {
        "max_bolus_uu": 25_000_000,
        "hourly_uu": 60_000_000,
        "daily_uu": 300_000_000,
        "max_basal_uu_per_h": 35_000_000,
        "min_interval_s": 10,
    }
    return wide | changed
