"""How your own tests use the pump: ``pip install -e '.[test]'``, then ``pytest docs/examples``.

The fixture ``bench`` is a whole pump on a virtual clock: the engine, the delivery loop and the
guard that run on a Raspberry Pi, over a simulated syringe. An hour of basal takes no time, and
nothing sleeps.
"""

import pytest

from appliance.simulate.bench import Refusal, VirtualBench


def test_a_bolus_moves_exactly_what_was_programmed(bench: VirtualBench) -> None:
    before = bench.truth_steps
    dose = bench.bolus("1.25")
    assert dose["programmed_steps"] == dose["issued_steps"] == dose["confirmed_steps"]
    # Basal goes on beside the bolus, so the plant has moved at least the bolus.
    assert bench.truth_steps - before >= dose["confirmed_steps"]


def test_a_blocked_line_ends_the_bolus(bench: VirtualBench) -> None:
    request_id = bench.start_bolus("5")
    bench.run(10)
    bench.plant.inject("driver_fault", {}, bench.now_ns)
    bench.run(2)
    dose = bench.dose(request_id)
    assert dose["outcome"] == "fault"
    assert dose["confirmed_steps"] < dose["programmed_steps"]


def test_a_dose_over_the_limit_is_refused_with_the_reason(bench: VirtualBench) -> None:
    bench.ask(
        "limits.set",
        max_bolus_uu=2_000_000,
        hourly_uu=15_000_000,
        daily_uu=60_000_000,
        max_basal_uu_per_h=5_000_000,
        min_interval_s=60,
    )
    with pytest.raises(Refusal, match="over the limit for one bolus"):
        bench.bolus("2.05")


def test_after_a_crash_the_ledger_holds_the_truth_between_two_bounds(bench: VirtualBench) -> None:
    bench.start_bolus("5")
    bench.run(12.3)
    bench.kill_pump()
    bench.start_pump()
    bench.run(10)
    pump = bench.snapshot()
    assert pump["state"] == "faulted"
    assert pump["confirmed_steps"] <= bench.truth_steps <= pump["maximum_steps"]
