"""A blocked line over the plant: the stop, what is held back, the release, and the lock."""

import pytest

from appliance.domain.occlusion import UNKNOWN, Line, too_often
from appliance.domain.units import NS_PER_S
from appliance.simulate.bench import Refusal, VirtualBench


def blocked_bolus() -> tuple[VirtualBench, str]:
    bench = VirtualBench(basal_uu_per_h=0, sensors_ms=50)
    request_id = bench.start_bolus("5")
    bench.run(3)
    bench.plant.inject("occlusion", {}, bench.now_ns)
    bench.run_until(lambda: bench.state == "faulted", 60)
    bench.run(1)
    return bench, request_id


def test_sr_26_f59_an_occlusion_stops_the_bolus_and_what_a_release_lets_go_is_no_delivery() -> None:
    bench, request_id = blocked_bolus()
    stopped_steps = bench.truth_steps
    held_nl = bench.plant.status(bench.now_ns)["stored_nl"]
    dose = bench.dose(request_id)
    assert (dose["outcome"], dose["confirmed_steps"]) == ("fault", stopped_steps)
    (row,) = [one.entry.body for one in bench.rows("line") if one.entry.body["event"] == "blocked"]
    assert row["held_uu"] / 100 == pytest.approx(held_nl, rel=0.05)
    assert bench.snapshot()["held_back_uu"] / 100 == pytest.approx(held_nl, rel=0.05)
    alarm = bench.snapshot()["alarms"][0]
    assert (alarm["name"], alarm["priority"]) == ("Occlusion", "high")
    assert "that is no dose" in alarm["text"]
    accounts = {key: bench.snapshot()[key] for key in ("confirmed_steps", "reservoir_uu")}
    bench.plant.clear("occlusion", bench.now_ns)
    bench.run(10)
    released = [one.entry.body for one in bench.rows("line")][-1]
    assert released["event"] == "released"
    assert released["relieved_uu"] / 100 == pytest.approx(held_nl, rel=0.1)
    # It left the line, and no account knows of it: not the dose, not the totals, not the motor.
    assert bench.plant.status(bench.now_ns)["stored_nl"] < held_nl / 50
    assert bench.dose(request_id) == dose
    assert {key: bench.snapshot()[key] for key in accounts} == accounts
    assert bench.truth_steps == stopped_steps
    bench.close()


def test_sr_26_the_motor_stops_within_200_ms_of_the_threshold() -> None:
    bench = VirtualBench(basal_uu_per_h=0, sensors_ms=50)
    bench.start_bolus("5")
    bench.run(3)
    bench.plant.inject("occlusion", {}, bench.now_ns)
    bench.run_until(lambda: bench.plant.force_mn(bench.now_ns) >= 11_900, 60)
    crossed_ns = bench.now_ns
    bench.run(5)
    assert bench.plant.status(bench.now_ns)["last_edge_ns"] - crossed_ns <= 200_000_000
    bench.close()


def test_sr_27_three_occlusions_and_restarts_within_10_min_lock_delivery_until_re_armed() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    for _ in range(3):
        bench.force(12_500)
        bench.run(1)
        assert bench.state == "faulted"
        bench.force(500)
        bench.ask("alarms.acknowledge", number=None)
        try:
            bench.ask("resume")
        except Refusal as refusal:
            refused = refusal.reasons
    assert refused == (
        "delivery is locked after three alarms and restarts within 10 min: pumpctl rearm",
    )
    assert bench.snapshot()["locked"]
    bench.kill_pump()  # a restart is no way around it
    bench.start_pump()
    bench.run_until(lambda: bench.state != "starting", 20)
    with pytest.raises(Refusal, match="is not acknowledged"):
        bench.ask("rearm")
    bench.ask("alarms.acknowledge", number=None)
    bench.force(500)
    with pytest.raises(Refusal, match="delivery is locked"):
        bench.ask("resume")
    bench.ask("rearm")
    assert bench.ask("resume")["state"] == "running"
    with pytest.raises(Refusal, match="not locked"):
        bench.ask("rearm")
    bench.close()


def test_sr_27_any_alarm_that_stops_delivery_counts_and_a_stop_by_a_person_does_not() -> None:
    bench = VirtualBench(basal_uu_per_h=1_000_000)
    for blow in (bench.kill_stepper, bench.kill_pump, lambda: bench.force(12_500)):
        bench.ask("suspend")
        bench.ask("resume")
        blow()
        bench.run(1)
        if bench.pump is None:
            bench.start_pump()
        bench.run_until(lambda: bench.state == "faulted", 20)
        assert bench.snapshot()["locked"] is (blow not in (bench.kill_stepper, bench.kill_pump))
        bench.force(500)
        bench.ask("alarms.acknowledge", number=None)
        if not bench.snapshot()["locked"]:
            bench.ask("resume")
    with pytest.raises(Refusal, match="three alarms and restarts"):
        bench.ask("resume")
    bench.ask("rearm")
    assert bench.ask("resume")["state"] == "running"
    bench.close()


def test_sr_26_the_release_of_a_line_is_watched_for_over_a_restart() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.force(12_500)
    bench.run(1)
    bench.kill_pump()
    bench.start_pump()
    bench.run_until(lambda: bench.state == "faulted", 20)
    bench.force(12_000)
    bench.run(1)
    assert bench.snapshot()["held_back_uu"] > 300_000
    for _ in range(8):
        bench.force(900)
        bench.run(1)
    released = [row.entry.body for row in bench.rows("line")][-1]
    assert (released["event"], released["from_mn"], released["to_mn"]) == ("released", 12_500, 900)
    assert bench.snapshot()["held_back_uu"] is None
    bench.close()


def test_sr_27_three_occlusions_over_a_longer_time_lock_nothing() -> None:
    minute = 60 * NS_PER_S
    assert too_often([0, 4 * minute, 9 * minute], 9 * minute)
    assert not too_often([0, 4 * minute, 10 * minute], 10 * minute)
    assert not too_often([0, 4 * minute], 4 * minute)


def test_a_line_of_which_nothing_is_known_gives_no_estimate() -> None:
    assert UNKNOWN.held_uu(12_000) is None
    line = Line(8_660, 100, 1_000, 20)
    # 11 N on 58.9 mm2 are 186.8 kPa; at 20 nL/kPa that is 3.735 uL, 0.3735 U.
    assert line.held_uu(12_000) == pytest.approx(373_500, rel=0.001)
    assert line.held_uu(900) == 0
