"""The engine over the plant: real engine, stepper and guard on a virtual clock, the plant as
the oracle.
"""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.domain.mechanics import Mechanics
from appliance.domain.units import NS_PER_H, NS_PER_S
from appliance.engine import messages as m
from appliance.engine.book import Book
from appliance.engine.windows import Windows
from appliance.ports import Entry, Row
from appliance.records import Ended, Tripped, whole
from appliance.simulate.bench import WIDE_LIMITS, Refusal, VirtualBench
from appliance.simulate.fake_ledger import Disk, FakeLedger

LEASE = 27


def bounds(bench: VirtualBench) -> tuple[int, int, int]:
    """Return confirmed, truth and maximum, in order or the test ends here."""
    pump = bench.snapshot()
    found = (pump["confirmed_steps"], bench.truth_steps, pump["maximum_steps"])
    assert found[0] <= found[1] <= found[2]
    return found


def came_back(bench: VirtualBench) -> None:
    bench.run_until(lambda: bench.state != "starting", 20)
    bench.ask("alarms.acknowledge", number=None)
    assert bench.ask("resume")["state"] == "running"


# ---------------------------------------------------------------------- doses


def test_a_bolus_is_exact_by_every_account() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    dose = bench.bolus("2.5")
    assert dose["programmed_steps"] == dose["issued_steps"] == dose["confirmed_steps"] == 1358
    assert (dose["certainty"], dose["outcome"]) == ("exact", "done")
    assert bench.truth_steps == 1358


def test_sr_34_no_step_goes_before_intent_and_lease_are_durable() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.stalled_disk = True
    dose = {"request_id": "00000000-0000-4000-8000-000000000001", "amount_uu": 1_000_000}
    review = bench.ask("bolus.review", **dose, speed="normal")
    bench.send("bolus.deliver", **dose, speed="normal", token=review["token"], stay=True)
    bench.run(30)
    assert bench.truth_steps == 0
    bench.disk_goes_on()
    bench.run(120)
    assert bench.truth_steps == bench.dose(dose["request_id"])["confirmed_steps"] == 543


def test_sr_35_a_stalled_disk_stops_the_motor_at_a_leases_end_and_nothing_is_made_up() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    request_id = bench.start_bolus("2")
    bench.run(5)
    leased = sum(row.entry.body["steps"] for row in bench.rows("lease"))
    bench.stalled_disk = True
    bench.run(8)
    assert bench.truth_steps == leased
    gaps = bench.plant.status(bench.now_ns)["min_gap_ns"]
    bench.disk_goes_on()
    bench.run(120)
    assert bench.dose(request_id)["outcome"] in ("done", "fault")
    assert bench.plant.status(bench.now_ns)["min_gap_ns"] == gaps
    bounds(bench)


def test_f20_a_disk_that_stalls_over_5_s_ends_the_dose_with_its_exact_part() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    request_id = bench.start_bolus("2")
    bench.run(5)
    bench.stalled_disk = True
    bench.run(15)
    assert bench.state == "faulted"
    bench.disk_goes_on()
    bench.run(5)
    dose = bench.dose(request_id)
    assert (dose["outcome"], dose["certainty"]) == ("fault", "exact")
    assert dose["confirmed_steps"] == bench.truth_steps


def test_f07_a_record_that_hangs_for_good_holds_up_neither_stop_nor_watchdog() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.start_bolus("5")
    bench.run(5)
    bench.stalled_disk = True
    bench.run(1)
    before, seen = bench.truth_steps, bench.snapshot()["sequence"]
    bench.send("stop", what="all")
    bench.run(600)
    assert bench.truth_steps - before <= 1
    assert not bench.plant.status(bench.plant_ns)["enable"]
    # It has not waited for the record: it beats and publishes, and nobody has ended it.
    assert bench.pump is not None
    assert bench.snapshot()["sequence"] >= seen + 500
    bench.disk_goes_on()
    bench.run(5)
    bounds(bench)
    came_back(bench)


@pytest.mark.parametrize(("held", "moves_on"), [("pump", True), ("stepper", False)])
def test_f08_an_interpreter_that_is_held_for_a_second_changes_no_step_or_stops_it(
    held: str, *, moves_on: bool
) -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    request_id = bench.start_bolus("2")
    bench.run(5)
    before = bench.truth_steps
    bench.frozen.add(held)
    bench.run(1)
    bench.frozen.discard(held)
    if not moves_on:
        at_thaw = bench.truth_steps
        assert at_thaw - before <= 1
        assert not bench.plant.status(bench.plant_ns)["enable"]
    bench.run(90)
    dose = bench.dose(request_id)
    if moves_on:
        assert (dose["outcome"], dose["certainty"]) == ("done", "exact")
        assert dose["confirmed_steps"] == dose["programmed_steps"] == bench.truth_steps
    else:
        assert (bench.state, dose["outcome"]) == ("faulted", "fault")
        assert bench.truth_steps - at_thaw <= 1, "nothing is made up"
    assert (bench.plant.min_gap_ns or 0) >= 1_999_000
    bounds(bench)


@pytest.mark.parametrize("disk", [Disk.FULL, Disk.GONE])
def test_f17_f27_a_disk_that_fails_in_mid_bolus_stops_it_within_a_lease(disk: Disk) -> None:
    ledger = FakeLedger()
    bench = VirtualBench(ledger=ledger, basal_uu_per_h=0)
    request_id = bench.start_bolus("5")
    bench.run(10)
    before = bench.truth_steps
    ledger.disk = disk
    bench.run(10)
    assert bench.state == "faulted"
    assert bench.truth_steps - before <= 2 * LEASE
    with pytest.raises(Refusal, match="ledger cannot be written"):
        bench.ask("resume")
    ledger.disk = Disk.WELL
    bench.disk_goes_on()
    bench.run(3)
    dose = bench.dose(request_id)
    assert dose["confirmed_steps"] == bench.truth_steps
    came_back(bench)


def test_sr_39_an_error_of_a_commit_that_happened_repeats_nothing() -> None:
    ledger = FakeLedger()
    bench = VirtualBench(ledger=ledger, basal_uu_per_h=0)
    ledger.disk = Disk.LIES
    request_id = "00000000-0000-4000-8000-000000000002"
    dose = {"request_id": request_id, "amount_uu": 1_000_000, "speed": "normal"}
    review = bench.ask("bolus.review", **dose)
    token = bench.send("bolus.deliver", **dose, token=review["token"], stay=True)
    bench.run(60)
    assert len([r for r in bench.rows("intent") if r.entry.body["request_id"] == request_id]) == 1
    assert "error" in repr(bench._answers.pop(token))
    assert bench.ask("dose.lookup", request_id=request_id)["outcome"] == "stopped"
    assert bench.truth_steps == 0


def test_sr_37_the_same_id_gives_the_same_dose_again_and_again() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    request_id = bench.start_bolus("1")
    for _ in range(5):
        again = bench.ask(
            "bolus.deliver",
            request_id=request_id,
            amount_uu=1_000_000,
            speed="normal",
            token="impatience",  # noqa: S106
            stay=True,
        )
        assert again["id"] == request_id
        bench.run(10)
    bench.run(60)
    assert bench.truth_steps == 543
    with pytest.raises(Refusal, match="belongs to a dose of 1000000 uu"):
        bench.start_bolus("2", request_id=request_id)


def test_sr_37_an_id_of_an_older_part_of_the_ledger_is_answered_with_its_dose() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    request_id = bench.start_bolus("1")
    bench.run(60)
    bench.pump.book.doses.pop(request_id)  # as after ten years of doses
    bench.run(20)
    dose = {"request_id": request_id, "amount_uu": 1_000_000, "speed": "normal"}
    review = bench.ask("bolus.review", **dose)
    answer = bench.ask("bolus.deliver", **dose, token=review["token"], stay=True)
    assert (answer["outcome"], answer["confirmed_steps"]) == ("done", 543)
    bench.run(60)
    assert bench.truth_steps == 543
    assert bench.state == "running"


def test_sr_09_a_token_is_for_one_dose_once_and_dies_after_30_s() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    dose = {"request_id": "00000000-0000-4000-8000-000000000003", "amount_uu": 500_000}
    token = bench.ask("bolus.review", **dose, speed="normal")["token"]
    other = {**dose, "amount_uu": 5_000_000}
    with pytest.raises(Refusal, match="the review was of another dose"):
        bench.ask("bolus.deliver", **other, speed="normal", token=token, stay=True)
    bench.run(31)
    with pytest.raises(Refusal, match="the review is over"):
        bench.ask("bolus.deliver", **dose, speed="normal", token=token, stay=True)
    assert bench.truth_steps == 0


def test_sr_15_a_bolus_too_soon_after_the_last_is_refused_and_recorded() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.bolus("0.05")
    with pytest.raises(Refusal, match="wait"):
        bench.bolus("0.05")


def test_sr_17_a_new_pump_has_no_limits_and_moves_nothing() -> None:
    bench = VirtualBench(set_up=False)
    with pytest.raises(Refusal) as refusal:
        bench.ask("resume")
    text = str(refusal.value)
    assert "no limits" in text
    assert "no basal profile" in text
    assert "no cartridge" in text
    bench.run(200)
    assert bench.truth_steps == 0


# ---------------------------------------------------------------------- basal


@settings(max_examples=8)
@given(
    rate=st.integers(25, 5_000).map(lambda thousandth: thousandth * 1_000),
    minutes=st.integers(1, 40),
    boluses=st.lists(st.sampled_from(["0.05", "0.37", "1"]), max_size=2),
)
def test_sr_18_the_total_is_within_a_microstep_of_what_was_asked(
    rate: int, minutes: int, boluses: list[str]
) -> None:
    bench = VirtualBench(basal_uu_per_h=rate, pace=50)
    begun_ns = first_block_ns(bench)
    asked_uu = Fraction(0)
    for units in boluses:
        bench.run(30)
        asked_uu += bench.bolus(units)["programmed_uu"]
    bench.run(minutes * 60)
    asked_uu += Fraction(rate * (bench.now_ns - begun_ns), NS_PER_H)
    asked = asked_uu * bench.mechanics.ratio_steps / bench.mechanics.ratio_uu
    assert abs(bench.truth_steps - asked) <= 1
    bounds(bench)


def first_block_ns(bench: VirtualBench) -> int:
    """Return when the running basal block began, from the stepper's own record of it."""
    jobs = [job for job in bench.pump._motor.jobs.values() if job.kind == "basal"]
    return min(job.start_ns for job in jobs)


def test_basal_follows_the_profile_over_midnight() -> None:
    bench = VirtualBench(set_up=False, pace=100)
    bench.ask("limits.set", **LIMITS)
    segments = [(0, 1_000_000), (60, 0), (120, 2_000_000), (1_380, 500_000)]
    rows = [{"start_min_of_day": at, "rate_uu_per_h": rate} for at, rate in segments]
    bench.ask("basal.import", name="Night", segments=rows, replace=False, confirm=True)
    bench.ask("basal.use", name="Night")
    bench.ask("cartridge.load", amount_uu=300_000_000)
    bench.set_wall(to_local(bench, 23, 30))
    bench.run(1)
    bench.ask("resume")
    at_start = bench.truth_steps
    bench.run(3 * 3_600)  # 23:30 to 02:30
    uu = 250_000 + 1_000_000 + 0 + 1_000_000
    assert abs(bench.truth_steps - at_start - bench.mechanics.steps_within(uu)) <= 1
    rates = {row.entry.body["rate_uu_per_h"] for row in bench.rows("intent")}
    assert rates == {500_000, 1_000_000, 2_000_000}


def to_local(bench: VirtualBench, hour: int, minute: int) -> int:
    """Return the step in s that sets the bench's wall clock to a time of today."""
    of_day_s = bench.wall_ns // NS_PER_S % 86_400
    return (hour * 60 + minute) * 60 - of_day_s


LIMITS = {
    "max_bolus_uu": 25_000_000,
    "hourly_uu": 60_000_000,
    "daily_uu": 300_000_000,
    "max_basal_uu_per_h": 35_000_000,
    "min_interval_s": 10,
}


@pytest.mark.parametrize("step_s", [3_600, -3_600, 365 * 86_400, -365 * 86_400])
def test_sr_45_f31_f32_a_step_of_the_wall_clock_delivers_nothing_of_its_own(step_s: int) -> None:
    bench = VirtualBench(basal_uu_per_h=2_000_000, pace=50)
    begun_ns, before = first_block_ns(bench), bench.truth_steps
    request_id = bench.start_bolus("1")
    bench.run(20)
    bench.set_wall(step_s)
    bench.run(3_600)
    asked = 1_000_000 + 2_000_000 * (bench.now_ns - begun_ns) // NS_PER_H
    assert abs(bench.truth_steps - before - bench.mechanics.steps_within(asked)) <= 2
    assert bench.dose(request_id)["outcome"] == "done"
    clock = bench.rows("clock")
    assert [row.entry.body["step_ns"] for row in clock] == [step_s * NS_PER_S]
    assert [row.seq for row in bench.rows()] == list(range(1, len(bench.rows()) + 1))


def test_a_new_profile_takes_over_at_once_and_the_carry_goes_with_it() -> None:
    bench = VirtualBench(basal_uu_per_h=1_000_000, pace=50)
    begun_ns = first_block_ns(bench)
    bench.run(1_000)
    segments = [{"start_min_of_day": 0, "rate_uu_per_h": 4_000_000}]
    bench.ask("basal.import", name="Fast", segments=segments, replace=False, confirm=True)
    bench.ask("basal.use", name="Fast")
    changed_ns = bench.now_ns
    bench.run(1_000)
    asked = (
        1_000_000 * (changed_ns - begun_ns) + 4_000_000 * (bench.now_ns - changed_ns)
    ) // NS_PER_H
    assert abs(bench.truth_steps - bench.mechanics.steps_within(asked)) <= 1


def test_suspended_time_owes_nothing() -> None:
    bench = VirtualBench(basal_uu_per_h=3_000_000, pace=50)
    bench.run(600)
    bench.ask("suspend")
    bench.run(5)
    before = bench.truth_steps
    bench.run(3_600)
    assert bench.truth_steps == before
    bench.ask("resume")
    bench.run(5)
    assert bench.truth_steps - before <= 4


# ---------------------------------------------------------------------- limits


def test_sr_14_a_full_window_holds_basal_and_it_goes_on_without_making_up() -> None:
    bench = VirtualBench(basal_uu_per_h=5_000_000, pace=50)
    bench.ask("limits.set", **{**LIMITS, "hourly_uu": 2_000_000, "daily_uu": 300_000_000})
    bench.run(3_600)
    assert bench.mechanics.uu_of_up(bench.truth_steps) <= 2_000_000
    assert [a["name"] for a in bench.snapshot()["alarms"]] == ["Basal held by a limit"]
    before = bench.truth_steps
    bench.run(1_200)
    assert bench.truth_steps > before, "room in the window lets basal go on by itself"
    assert bench.mechanics.uu_of_up(most_in_an_hour(bench)) <= 2_000_000


def most_in_an_hour(bench: VirtualBench) -> int:
    """Return the most steps that the ledger's counts put into any hour: a reader of its own."""
    counts = [(row.entry.mono_ns, row.entry.body["maximum_steps"]) for row in bench.rows("count")]
    return max(
        sum(steps for at, steps in counts if begin <= at < begin + NS_PER_H) for begin, _ in counts
    )


def test_sr_14_a_bolus_is_refused_with_the_basal_that_it_overlaps() -> None:
    bench = VirtualBench(basal_uu_per_h=5_000_000)
    bench.ask("limits.set", **{**LIMITS, "hourly_uu": 10_000_000, "daily_uu": 300_000_000})
    with pytest.raises(Refusal, match="within 60 min"):
        bench.bolus("6")
    assert bench.start_bolus("4.5")


def test_sr_13_and_every_other_reason_are_given_at_once() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.ask("suspend")
    bench.run(2)
    with pytest.raises(Refusal) as refusal:
        bench.bolus("30")
    text = str(refusal.value)
    assert "the pump is suspended" in text
    assert "over the limit for one bolus" in text


def test_sr_31_a_reservoir_that_holds_too_little_refuses_and_an_empty_one_stops() -> None:
    bench = VirtualBench(set_up=False, pace=50)
    bench.ask("limits.set", **LIMITS)
    segments = [{"start_min_of_day": 0, "rate_uu_per_h": 3_000_000}]
    bench.ask("basal.import", name="Day", segments=segments, replace=False, confirm=True)
    bench.ask("basal.use", name="Day")
    bench.ask("cartridge.load", amount_uu=1_000_000)
    bench.ask("resume")
    with pytest.raises(Refusal, match="the reservoir holds"):
        bench.bolus("2")
    bench.run(3_600)
    assert bench.state == "faulted"
    assert "Reservoir empty" in [one["name"] for one in bench.snapshot()["alarms"]]
    assert bench.mechanics.uu_of_up(bench.truth_steps) <= 1_000_000
    assert bench.mechanics.uu_of(bench.truth_steps) >= 990_000


# ---------------------------------------------------------------------- crashes


@settings(max_examples=15)
@given(moment=st.floats(0.0, 60.0), victim=st.sampled_from(["pump", "stepper", "guard"]))
def test_sr_36_sr_38_whatever_is_killed_the_bounds_hold_and_nothing_is_resumed(
    moment: float, victim: str
) -> None:
    bench = VirtualBench(basal_uu_per_h=6_000_000)
    request_id = bench.start_bolus("1")
    bench.run(moment)
    getattr(bench, f"kill_{victim}")()
    bench.run(1.5)
    if victim == "pump":
        bench.start_pump()
    if victim == "guard":
        bench.start_guard()
    bench.run(8)
    assert bench.state == "faulted"
    confirmed, truth, maximum = bounds(bench)
    assert maximum - confirmed <= 2 * LEASE
    dose = bench.dose(request_id)
    assert dose["outcome"] != "open"
    came_back(bench)
    bench.run(2)
    assert bench.dose(request_id) == dose
    assert bench.truth_steps - truth <= 4, "only basal goes on"


def test_a_crash_that_the_guard_lived_through_is_closed_exactly() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    request_id = bench.start_bolus("2")
    bench.run(17.7)
    bench.kill_pump()
    bench.run(1)
    bench.start_pump()
    bench.run(8)
    dose = bench.dose(request_id)
    assert dose["certainty"] == "exact"
    assert dose["confirmed_steps"] == dose["maximum_steps"] == bench.truth_steps


def test_after_a_clean_end_the_pump_comes_back_as_it_was_and_owes_nothing() -> None:
    bench = VirtualBench(basal_uu_per_h=3_000_000)
    bench.run(60)
    bench.stop_pump()
    before = bench.truth_steps
    bench.run(400)
    bench.start_pump()
    bench.run_until(lambda: bench.state == "running", 20)
    assert bench.truth_steps - before <= 1
    assert not bench.snapshot()["alarms"]


def test_sr_42_f24_a_ledger_that_the_guard_has_seen_further_blocks_the_pump() -> None:
    bench = VirtualBench(basal_uu_per_h=3_000_000)
    bench.run(60)
    old = bench.ledger.rows()
    bench.run(60)
    bench.stop_pump()
    bench.ledger = replayed(old)
    bench.start_pump()
    bench.run(10)
    assert bench.state == "faulted"
    assert "Earlier doses unknown" in [one["name"] for one in bench.snapshot()["alarms"]]
    with pytest.raises(Refusal, match="not acknowledged"):
        bench.ask("resume")
    came_back(bench)


def replayed(rows: Any) -> FakeLedger:
    ledger = FakeLedger()
    ledger.append([row.entry for row in rows])
    return ledger


def test_the_book_is_the_same_from_the_rows_and_from_a_checkpoint() -> None:
    bench = VirtualBench(basal_uu_per_h=3_000_000)
    bench.start_bolus("1")
    bench.run(90)
    pump = bench.pump
    bench.stop_pump()
    whole, late = Book(), Book()
    for row in bench.rows():
        whole.apply(row)
    checkpoint = bench.rows("checkpoint")[-1]
    for row in bench.rows():
        if row.seq >= checkpoint.seq:
            late.apply(row)
    assert whole == late == pump.book


def test_f20_acknowledging_twice_in_one_breath_writes_a_row_that_can_be_read_back() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.run(1)
    bench.kill_stepper()
    bench.run(2)
    bench.send("alarms.acknowledge", number=None)
    bench.send("alarms.acknowledge", number=None)
    bench.run(2)
    book = Book()
    for row in bench.rows():
        book.apply(row)
    assert not [one for one in book.alarms.values() if not one.acknowledged]


# ---------------------------------------------------------------------- self-test (SR-57)


@pytest.mark.parametrize(
    ("fault", "params", "line"),
    [
        ("readback_dead", {}, "read-back"),
        ("readback_extra_every", {"nth": 1}, "read-back"),
        ("end_stop_stuck", {"at": "on"}, "end stop"),
        ("driver_fault", {}, "motor driver"),
        ("stop_button", {"stays": "pressed"}, "stop button"),
    ],
)
def test_sr_57_a_check_that_fails_inhibits_delivery_and_is_recorded(
    fault: str, params: dict[str, Any], line: str
) -> None:
    bench = VirtualBench(basal_uu_per_h=3_000_000)
    bench.run(30)
    bench.stop_pump()
    before = bench.truth_steps
    bench.plant.inject(fault, params, bench.now_ns)
    bench.start_pump()
    bench.run(20)
    assert bench.state == "inhibited"
    pump = bench.snapshot()
    assert [one["name"] for one in pump["self_test"] if not one["ok"]] == [line]
    assert any(line in why for why in pump["why"])
    assert bench.truth_steps == before
    assert any(line in text for text in bench.rows("self_test")[-1].entry.body["lines"])
    bench.plant.clear("all", bench.now_ns)
    came_back(bench)


def test_sr_57_a_guard_that_does_not_answer_inhibits_delivery() -> None:
    bench = VirtualBench(basal_uu_per_h=3_000_000)
    bench.run(30)
    bench.stop_pump()
    bench.kill_guard()
    bench.start_pump()
    bench.run(40)
    assert bench.state == "inhibited"
    assert "pump-guard does not answer" in " ".join(bench.snapshot()["why"])


# ---------------------------------------------------------------------- ways to build a pump


def test_hold_off_delivers_whole_full_steps_even_when_it_is_stopped() -> None:
    bench = VirtualBench(hold="off", basal_uu_per_h=0)
    dose = bench.bolus("1")
    assert dose["confirmed_steps"] == bench.truth_steps == 528
    bench.run(15)
    bench.start_bolus("1")
    bench.run(11.01)
    bench.ask("stop", what="all")
    bench.run(3)
    assert bench.truth_steps % 16 == 0
    assert bench.plant.status(bench.now_ns)["snapped_steps"] == 0
    bounds(bench)


@pytest.mark.parametrize("hold", ["reduced", "off"])
def test_without_a_read_back_the_stepper_confirms_and_every_row_says_so(hold: str) -> None:
    bench = VirtualBench(readback=False, hold=hold, basal_uu_per_h=0)
    dose = bench.bolus("0.5")
    assert dose["outcome"] == "done"
    assert dose["confirmed_steps"] == bench.truth_steps
    assert {row.entry.body["confirmed_by"] for row in bench.rows("count")} == {"issue"}
    bench.run(15)
    again = bench.bolus("0.5")
    assert dose["confirmed_steps"] + again["confirmed_steps"] == bench.truth_steps


@pytest.mark.parametrize("lead_um", [1_000, 2_000])
@pytest.mark.parametrize("bore_um", [4_699, 8_585, 11_990])
def test_any_syringe_and_screw_gives_exact_doses(bore_um: int, lead_um: int) -> None:
    bench = VirtualBench(
        mechanics={"bore_um": bore_um, "lead_um": lead_um}, basal_uu_per_h=0, pace=20
    )
    dose = bench.bolus("1.37")
    assert dose["confirmed_steps"] == bench.truth_steps == bench.mechanics.steps_within(1_370_000)


def test_sr_22_stop_answers_with_the_exact_part_and_at_most_one_more_edge() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    request_id = bench.start_bolus("5")
    bench.run(7.77)
    before = bench.truth_steps
    answer = bench.ask("stop", what="all")
    assert bench.truth_steps - before <= 1
    stopped = {one["id"]: one for one in answer["stopped"]}
    assert stopped[request_id]["confirmed_steps"] == bench.truth_steps
    assert stopped[request_id]["certainty"] == "exact"
    assert bench.state == "suspended"
    bench.run(1)
    assert not bench.plant.status(bench.now_ns)["enable"]


@pytest.mark.parametrize("heard_after_s", [0, 0.3])
def test_sr_22_a_dose_that_closes_before_its_stop_is_read_was_stopped_by_a_person(
    heard_after_s: float,
) -> None:
    # Basal would begin anew until the stop is heard of, and this disk answers at once.
    bench = VirtualBench(basal_uu_per_h=0 if heard_after_s else 6_000_000)
    request_id = bench.start_bolus("5")
    bench.run(7)
    bench.urgent_stop("stopped by a person", heard_after_s=heard_after_s)
    bench.run_until(lambda: bench.dose(request_id)["outcome"] != "open", 5)
    assert bench.state == "running", "the request has not been read"
    stopped = {one["id"]: one for one in bench.ask("stop", what="all")["stopped"]}
    dose = stopped[request_id]
    assert (dose["outcome"], dose["why"]) == ("stopped", "stopped by a person")
    assert 0 < dose["confirmed_steps"] == dose["maximum_steps"]
    assert {one["outcome"] for one in stopped.values()} == {"stopped"}
    assert bench.state == "suspended"
    bounds(bench)


def test_stopping_the_bolus_leaves_basal_running() -> None:
    bench = VirtualBench(basal_uu_per_h=6_000_000)
    request_id = bench.start_bolus("5")
    bench.run(10)
    answer = bench.ask("stop", what="bolus")
    assert [one["id"] for one in answer["stopped"]] == [request_id]
    before = bench.truth_steps
    bench.run(10)
    assert bench.state == "running"
    assert bench.truth_steps - before >= 5
    bounds(bench)


@pytest.mark.parametrize("rate_uu_per_h", [0, 3_000_000])
def test_a_bolus_in_the_moment_of_a_profile_change_is_delivered_whole(rate_uu_per_h: int) -> None:
    bench = VirtualBench(basal_uu_per_h=6_000_000)
    segments = [{"start_min_of_day": 0, "rate_uu_per_h": rate_uu_per_h}]
    bench.ask("basal.import", name="Other", segments=segments, replace=False, confirm=True)
    dose = {"request_id": "00000000-0000-4000-8000-000000000009", "amount_uu": 50_000}
    token = bench.ask("bolus.review", **dose, speed="normal")["token"]
    bench.ask("basal.use", name="Other")
    bench.ask("bolus.deliver", **dose, speed="normal", token=token, stay=True)
    bench.run(15)
    assert bench.dose(dose["request_id"])["outcome"] == "done"
    assert [one for one in bench.pump.book.open_doses if one.kind == "bolus"] == []


def test_sr_59_a_client_that_left_before_the_intent_was_durable_is_no_live_stop() -> None:
    bench = VirtualBench(basal_uu_per_h=0, stop_button=False)
    dose = {"request_id": "00000000-0000-4000-8000-00000000000a", "amount_uu": 5_000_000}
    token = bench.ask("bolus.review", **dose, speed="normal")["token"]
    bench.stalled_disk = True
    bench.send("bolus.deliver", **dose, speed="normal", token=token, stay=True)
    bench.run(0.1)
    bench.client_gone()
    bench.run(0.1)
    bench.disk_goes_on()
    bench.run(10)
    assert bench.dose(dose["request_id"])["outcome"] == "stopped"
    assert "nobody" in bench.dose(dose["request_id"])["why"]


def test_sr_59_a_client_that_asks_again_after_a_loss_can_stop_the_dose_again() -> None:
    bench = VirtualBench(basal_uu_per_h=0, stop_button=False)
    request_id = bench.start_bolus("2")
    bench.client_gone()
    bench.run(1)
    dose = {"request_id": request_id, "amount_uu": 2_000_000, "speed": "normal"}
    bench.ask("bolus.deliver", **dose, token="any", stay=True)  # noqa: S106
    bench.run(120)
    assert bench.dose(request_id)["outcome"] == "done"


def test_the_stop_button_in_one_run_bars_nothing_in_the_next() -> None:
    bench = VirtualBench(basal_uu_per_h=6_000_000)
    for _ in range(4):
        bench.run(5)
        bench.plant.press("stop", 100, bench.now_ns)
        bench.run(2)
        assert bench.state == "suspended"
        bench.ask("resume")
        before = bench.truth_steps
        bench.run(8)
        assert bench.truth_steps - before >= 4
        assert bench.state == "running"


@pytest.mark.parametrize("frozen_s", [0.03, 0.06, 0.2, 1.0])
def test_sr_36_f04_edges_of_a_guard_that_slept_are_never_called_confirmed(frozen_s: float) -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.start_bolus("2", speed="fast")
    bench.run(10)
    bench.frozen.add("guard")
    bench.run(frozen_s)
    bench.frozen.clear()
    bench.run(5)
    bounds(bench)
    assert (bench.state == "faulted") == (frozen_s > 0.04)


@pytest.mark.parametrize("relieved", [False, True])
def test_sr_26_an_occlusion_is_named_though_the_sensor_stopped_the_motor_first(
    relieved: bool,  # noqa: FBT001
) -> None:
    bench = VirtualBench(basal_uu_per_h=6_000_000)
    request_id = bench.start_bolus("5")
    bench.run(10)
    before = bench.truth_steps
    bench.urgent_stop()
    bench.force(14_147)
    bench.run(0.02)
    if relieved:
        bench.force(9_000)
    bench.run(5)
    assert bench.state == "faulted"
    assert "Occlusion" in [one["name"] for one in bench.snapshot()["alarms"]]
    assert "14147 mN" in bench.dose(request_id)["why"]
    assert bench.truth_steps - before <= 1
    bench.ask("alarms.acknowledge", number=None)
    if not relieved:
        with pytest.raises(Refusal, match="free the line"):
            bench.ask("resume")


def test_basal_that_goes_on_after_a_full_window_is_not_called_held_any_more() -> None:
    bench = VirtualBench(basal_uu_per_h=5_000_000, pace=50)
    bench.ask("limits.set", **{**LIMITS, "hourly_uu": 2_000_000, "daily_uu": 300_000_000})
    bench.run(2_400)
    assert bench.snapshot()["basal_held"]
    held_rows = len(bench.rows("intent"))
    bench.run(900)
    assert len(bench.rows("intent")) - held_rows <= 1, "a full window writes no row a minute"
    bench.run_until(lambda: not bench.snapshot()["basal_held"], 3_600)
    bench.run(60)
    assert not [one for one in bench.snapshot()["alarms"] if one["code"] == "A13" and one["active"]]


def test_sr_57_the_self_test_measures_how_late_its_edges_came() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    lines = {one["name"]: one["text"] for one in bench.snapshot()["self_test"]}
    assert "at most 0 us late" in lines["real time"]
    total = [r for r in bench.stepper_said if type(r).__name__ == "ProgrammeTotal"]
    assert [(one.number, one.issued_steps) for one in total][:1] == [(0, 4)]


def test_sr_36_a_gap_of_enable_between_two_looks_of_the_guard_is_seen() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.start_bolus("2", speed="fast")
    bench.run(10)
    bench.frozen.add("guard")
    bench.plant.inject("one_shot", {"stays": "closed"}, bench.now_ns)
    bench.run(0.004)
    gone = bench.plant.status(bench.now_ns)["enable"]
    bench.plant.clear("one_shot", bench.now_ns)
    bench.frozen.clear()
    bench.run(3)
    assert not gone
    assert bench.state == "faulted"
    bounds(bench)


def test_sr_57_a_guard_that_trips_in_the_self_test_fails_it(bench: VirtualBench) -> None:
    bench.kill_stepper()
    bench.run(1)
    assert bench.state == "faulted"
    bench.ask("alarms.acknowledge", number=None)
    bench.send("resume")
    bench.run_until(lambda: bench.stepper is not None, 5)
    assert bench.state == "starting"
    assert bench.guard is not None
    bench.guard.pin_fault(bench.now_ns)
    bench.run_until(lambda: bench.state != "starting", 20)
    assert bench.state == "inhibited"
    assert "guard: its trip is latched" in bench.snapshot()["why"][0]
    assert bench.rows("self_test")[-1].entry.body["passed"] is False


class SlowGuard(VirtualBench):
    """A bench on which what the guard says of its trip comes a moment late."""

    def __init__(self, **options: Any) -> None:
        self.late: list[m.Event] = []
        super().__init__(**options)

    def _post(self, event: m.Event) -> None:
        if isinstance(event, m.FromGuard) and isinstance(event.record, Tripped):
            self.late.append(event)
        else:
            super()._post(event)

    def says_it(self) -> None:
        for event in self.late:
            super()._post(event)


@pytest.mark.parametrize("disk_waits", [False, True])
def test_f55_a_trip_of_which_the_stepper_knows_first_is_given_the_guards_reason(
    disk_waits: bool,  # noqa: FBT001
) -> None:
    bench = SlowGuard(basal_uu_per_h=0)
    request_id = bench.start_bolus("2")
    bench.run(5)
    assert bench.guard is not None
    bench.stalled_disk = disk_waits
    bench.guard.pin_fault(bench.now_ns)
    bench.run(1)
    shown = bench.snapshot()
    assert (shown["state"], shown["why"]) == ("faulted", ["the guard switched ENABLE off"])
    bench.says_it()
    bench.run(1)
    bench.disk_goes_on()
    bench.run(1)
    shown = bench.snapshot()
    assert shown["why"] == ["a pin of the guard failed"]
    assert [one["text"] for one in shown["alarms"] if one["name"] == "Guard trip"] == shown["why"]
    events = [row.entry.body["event"] for row in bench.rows("alarm")]
    assert events.count("raised") == len(shown["alarms"])
    assert events.count("explained") == 1
    assert bench.dose(request_id)["outcome"] == "fault"
    bounds(bench)
    came_back(bench)


# ---------------------------------------------------------------------- a computer that sleeps


@pytest.mark.parametrize("noticed_after_s", [0.0, 0.9])
@pytest.mark.parametrize("asleep_s", [2, 8 * 3_600])
def test_f15_a_sleep_in_mid_bolus_is_a_gap_that_nothing_makes_up(
    asleep_s: int, noticed_after_s: float
) -> None:
    bench = VirtualBench(basal_uu_per_h=1_000_000)
    request_id = bench.start_bolus("2")
    bench.run(5)
    before = bench.truth_steps
    gap_ns = bench.plant.status(bench.plant_ns)["min_gap_ns"]
    bench.sleep(asleep_s, noticed_after_s=noticed_after_s)
    bench.run(30)
    assert bench.state == "faulted"
    assert bench.truth_steps - before <= 1
    assert not bench.plant.status(bench.plant_ns)["enable"]
    assert bench.plant.status(bench.plant_ns)["min_gap_ns"] == gap_ns
    text = f"the computer slept for {asleep_s} s, and nothing was delivered"
    shown = bench.snapshot()
    assert text in [one["text"] for one in shown["alarms"] if one["name"] == "The computer slept"]
    assert not [one for one in shown["alarms"] if "late" in one["text"]], "it was the sleep"
    assert [row.entry.body["text"] for row in bench.rows("sleep")] == [text]
    dose = bench.dose(request_id)
    assert dose["outcome"] == "fault"
    assert dose["maximum_steps"] - dose["confirmed_steps"] <= 2 * LEASE
    bounds(bench)
    came_back(bench)
    bench.run(120)
    assert bench.truth_steps - before <= 2 + 120 * 543 // 3_600, "basal from the resume on, no more"


def test_f15_a_pump_that_was_suspended_stays_so_and_a_nap_changes_nothing() -> None:
    bench = VirtualBench(basal_uu_per_h=1_000_000)
    bench.sleep(0.03)
    bench.run(5)
    assert (bench.state, bench.rows("sleep")) == ("running", [])
    bench.ask("suspend")
    bench.run(5)
    before = bench.truth_steps
    bench.sleep(3_600)
    bench.run(5)
    assert bench.truth_steps == before
    assert len(bench.rows("sleep")) == 1
    assert bench.state == "suspended"


def test_f15_limits_and_insulin_on_board_count_a_sleep_as_time_that_passed() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.bolus("2")
    bench.run(60)
    before = bench.snapshot()
    bench.sleep(8 * 3_600)
    bench.run(60)
    after = bench.snapshot()
    assert before["iob_uu"]["total"] > 1_900_000
    assert after["iob_uu"]["total"] < 100_000
    assert after["left_60_min_uu"] - before["left_60_min_uu"] > 1_900_000
    bounds(bench)


# ---------------------------------------------------------------------- alarms


def raised(bench: VirtualBench, name: str) -> list[int]:
    bodies = [row.entry.body for row in bench.rows("alarm")]
    return [one["number"] for one in bodies if (one["name"], one["event"]) == (name, "raised")]


def test_sr_51_an_acknowledged_alarm_does_not_ring_again_while_its_cause_stands() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.ask("suspend")
    bench.ask("cartridge.load", amount_uu=15_000_000)
    bench.run(1)
    for _ in range(3):
        bench.ask("alarms.acknowledge", number=None)
        bench.run(1)
    (alarm,) = bench.ask("alarms")["alarms"]
    assert (alarm["name"], alarm["active"], alarm["acknowledged"]) == ("Low reservoir", True, True)
    assert raised(bench, "Low reservoir") == [1]
    bench.ask("cartridge.load", amount_uu=300_000_000)
    bench.run(1)
    assert bench.ask("alarms")["alarms"] == []
    bench.ask("cartridge.load", amount_uu=15_000_000)
    bench.run(1)
    assert raised(bench, "Low reservoir") == [1, 2], "a new cause is a new alarm"


def test_sr_51_what_happens_while_an_acknowledgement_waits_for_the_disk_is_a_new_alarm() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.set_wall(10)
    bench.run(1)
    bench.stalled_disk = True
    bench.send("alarms.acknowledge", number=None)
    bench.run(1)
    bench.set_wall(10)
    bench.run(1)
    bench.disk_goes_on()
    bench.run(1)
    assert raised(bench, "Clock changed") == [1, 2]
    (alarm,) = bench.ask("alarms")["alarms"]
    assert (alarm["number"], alarm["acknowledged"]) == (2, False)


def test_f20_a_block_that_is_durable_only_after_the_one_before_it_takes_its_carry_once() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    rates = [
        {"start_min_of_day": 0, "rate_uu_per_h": 7_000_000},
        {"start_min_of_day": 8 * 60 + 1, "rate_uu_per_h": 7_000_000},
    ]
    bench.ask("basal.import", name="Two", segments=rates, replace=False)
    bench.ask("basal.use", name="Two")
    border_ns = bench.now_ns + 60 * NS_PER_S - bench.wall_ns % (60 * NS_PER_S)
    bench.run_to(border_ns - 5 * NS_PER_S - NS_PER_S // 2)
    bench.stalled_disk = True
    bench.run(6.2)
    bench.disk_goes_on()
    bench.run(2)
    first, second = bench.rows("intent")[-2:]
    ended = next(
        one
        for one in [r for r in bench.stepper_said if isinstance(r, Ended)]
        if one.number == first.entry.body["programme"]
    )
    left_over = whole(ended.carry_high, ended.carry_low)
    running = bench.stepper._running
    assert [one.number for one in running] == [second.entry.body["programme"]]
    assert left_over > 0
    assert running[0].carry + bench.pump._motor.carry == left_over


def spent_row(book: Book, boot: str, at_ns: int, steps: int) -> None:
    """Have ``steps`` counted in the book at an instant of a boot."""
    entry = Entry("count", boot, at_ns, at_ns, 0, "set", {})
    book._bucket(Row(1, entry, b"")).steps += steps


def test_sr_43_what_an_older_boot_left_in_the_windows_goes_a_day_after_the_boot() -> None:
    book = Book()
    spent_row(book, "old", 5 * NS_PER_H, 10)
    spent_row(book, "old", 90 * NS_PER_H, 10)
    for hour in range(1, 40):
        spent_row(book, "new", hour * NS_PER_H, 1)
    assert [one.boot for one in book.spent if one.boot == "old"] == []
    assert len(book.spent) <= 25
    spent_row(book, "newer", NS_PER_H, 1)
    assert book.spent[0].boot == "new"


@given(
    amounts=st.lists(
        st.tuples(st.integers(1, 200 * NS_PER_S), st.integers(1, 60)), min_size=1, max_size=60
    ),
    spans=st.lists(st.integers(0, 3 * NS_PER_H), min_size=1, max_size=5),
)
def test_sr_14_a_window_that_is_looked_up_holds_what_a_walk_over_it_finds(
    amounts: list[tuple[int, int]], spans: list[int]
) -> None:
    mechanics = Mechanics.of(
        bore_um=8_660, lead_um=1_000, full_steps=200, microsteps=16, concentration_u_per_ml=100
    )
    book = Book()
    windows = Windows(book, mechanics, "boot")
    at_ns = NS_PER_H
    for gap_ns, steps in amounts:
        at_ns += gap_ns
        spent_row(book, "boot", at_ns, steps)
        for span_ns in spans:
            walked = sum(
                mechanics.uu_of_up(one.steps)
                for one in book.spent
                if one.mono_ns >= at_ns - span_ns
            )
            assert windows.used_uu(at_ns - span_ns) == walked


def test_an_engine_that_waits_for_the_end_of_a_block_does_not_spin_until_it_comes() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    rates = [
        {"start_min_of_day": 0, "rate_uu_per_h": 7_000_000},
        {"start_min_of_day": 8 * 60 + 1, "rate_uu_per_h": 6_000_000},
    ]
    bench.ask("basal.import", name="Two", segments=rates, replace=False)
    bench.ask("basal.use", name="Two")
    border_ns = bench.now_ns + 60 * NS_PER_S - bench.wall_ns % (60 * NS_PER_S)
    bench.run_to(border_ns - NS_PER_S // 100)
    bench.frozen.add("stepper")
    bench.run_to(border_ns + NS_PER_S // 100)
    assert bench.pump.schedule_wake_ns - bench.now_ns >= NS_PER_S // 1_000
    bench.frozen.clear()
    bench.run(5)
    assert bench.state == "running"


def test_sr_36_f20_a_count_that_waits_for_the_disk_stays_in_the_bounds() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.start_bolus("0.05", speed="fast")
    bench.run(0.3)
    bench.stalled_disk = True
    bench.run(1)
    seen = bench.snapshot()
    assert bench.rows("count") == []
    assert seen["confirmed_steps"] <= bench.truth_steps == 27 <= seen["maximum_steps"]
    assert seen["left_60_min_uu"] <= WIDE_LIMITS.hourly_uu - 27 * 1_840
    bench.disk_goes_on()
    bench.run(1)
    assert bench.snapshot()["maximum_steps"] == 27


@pytest.mark.parametrize("speed", ["slow", "fast"])
def test_sr_36_what_went_out_since_the_stepper_last_spoke_is_within_the_maximum(speed: str) -> None:
    bench = VirtualBench(basal_uu_per_h=8_000_000)
    bench.start_bolus("0.4", speed=speed)
    for _ in range(300):
        bench.run(0.003)
        seen = bench.snapshot()
        assert seen["confirmed_steps"] <= bench.truth_steps <= seen["maximum_steps"]
        assert seen["maximum_steps"] - seen["confirmed_steps"] <= 2 * LEASE


def test_sr_26_force_is_read_often_while_the_motor_moves_and_seldom_while_it_rests() -> None:
    bench = VirtualBench(basal_uu_per_h=1_000_000)
    bench.run(10)
    assert bench.pump is not None
    assert bench.pump.look_ms == 100, "basal alone, with 200 ms from threshold to stop"
    bench.start_bolus("1")
    bench.run(1)
    assert bench.pump.look_ms == 50
    bench.ask("stop", what="all")
    bench.run(5)
    assert bench.pump.look_ms == 250
    bench.ask("signals.check")
    assert bench.pump.look_ms == 50, "each lamp and the buzzer are to be seen on"
    bench.run(5)
    assert bench.pump.look_ms == 250


def test_a_pump_at_rest_publishes_once_a_second_and_any_news_at_once() -> None:
    bench = VirtualBench(basal_uu_per_h=0, sensors_ms=250)
    bench.run(20)
    bench.snapshots = []
    bench.run(30)
    assert len(bench.snapshots) <= 31
    before = len(bench.snapshots)
    bench.run(0.5)
    bench.start_bolus("0.3", speed="fast")
    bench.run(2)
    seen = [one["bolus"]["issued_steps"] for one in bench.snapshots[before:] if one["bolus"]]
    assert len(seen) > 20
    assert max(seen) > 50


def test_f23_a_configuration_of_which_one_bit_has_changed_is_named_and_nothing_is_delivered() -> (
    None
):
    """However sound it reads: who changed it on purpose says so, and resumes."""
    bench = VirtualBench()
    bench.run(60)
    bench.stop_pump()
    before = bench.truth_steps
    bench.config_sha256 = "0" * 63 + "1"
    bench.start_pump()
    bench.run(30)
    assert bench.state == "faulted"
    assert bench.truth_steps == before
    (alarm,) = [one for one in bench.snapshot()["alarms"] if one["name"] == "Configuration changed"]
    assert alarm["priority"] == "high"
    assert "not that of the last start" in alarm["text"]
    with pytest.raises(Refusal, match="not acknowledged"):
        bench.ask("resume")
    bench.ask("alarms.acknowledge", number=None)
    assert bench.ask("resume")["state"] == "running"
    bench.stop_pump()
    bench.start_pump()
    bench.run(30)
    assert bench.state == "running", "it is that of the last start now"


def test_f23_a_changed_configuration_stays_an_alarm_over_another_start() -> None:
    bench = VirtualBench()
    bench.stop_pump()
    bench.config_sha256 = "1" * 64
    bench.start_pump()
    bench.run(30)
    bench.stop_pump()
    bench.start_pump()
    bench.run(30)
    assert bench.state == "faulted"
    with pytest.raises(Refusal, match="configuration is not that of the last start"):
        bench.ask("resume")
