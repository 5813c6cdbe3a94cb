"""Extended and dual boluses over the real engine, stepper and guard in virtual time."""

from typing import Any

import pytest

from appliance.domain.units import NS_PER_S
from appliance.engine.book import Book
from appliance.simulate.bench import Refusal, VirtualBench

ID = "00000000-0000-4000-8000-0000000000e1"


def pump(**more: Any) -> VirtualBench:
    return VirtualBench(**({"basal_uu_per_h": 0, "pace": 100} | more))


def parts(bench: VirtualBench, request_id: str) -> list[Any]:
    """Return the records of a bolus, the part at once first."""
    found = [bench.dose(request_id)]
    if found[0]["extended_id"]:
        found.append(bench.dose(found[0]["extended_id"]))
    return found


def until_closed(bench: VirtualBench, request_id: str, seconds: float = 40_000) -> list[Any]:
    def closed() -> bool:
        return all(one["outcome"] != "open" for one in parts(bench, request_id))

    bench.run_until(closed, seconds)
    return parts(bench, request_id)


def test_an_extended_bolus_goes_out_evenly_over_its_time_and_is_exact() -> None:
    bench = pump()
    request_id = bench.start_bolus("1", extend="1", over_s=1_800)
    bench.run(900)
    assert abs(bench.truth_steps - 543 // 2) <= 1
    shown = bench.snapshot()["extended"]
    assert (shown["id"], shown["kind"], shown["rate_uu_per_h"]) == (
        request_id,
        "extended",
        2_000_000,
    )
    assert bench.snapshot()["bolus"] is None
    (dose,) = until_closed(bench, request_id)
    assert dose["programmed_steps"] == dose["confirmed_steps"] == bench.truth_steps == 543
    assert (dose["kind"], dose["certainty"], dose["outcome"]) == ("extended", "exact", "done")


def test_a_dual_bolus_is_two_doses_entered_together_each_exact() -> None:
    bench = pump(basal_uu_per_h=500_000)
    before = bench.truth_steps
    request_id = bench.start_bolus("2.5", extend="1.5", over_s=1_800)
    batch = [row for row in bench.rows("intent") if row.entry.body["dose"] != "basal"]
    assert [(row.entry.body["dose"], row.entry.body["programmed_uu"]) for row in batch] == [
        ("bolus", 1_000_000),
        ("extended", 1_500_000),
    ]
    assert batch[1].seq == batch[0].seq + 1
    now, extended = until_closed(bench, request_id)
    assert (now["whole_uu"], now["extended_uu"], now["duration_s"]) == (2_500_000, 1_500_000, 1_800)
    assert extended["part_of"] == request_id
    assert bench.pump.book.last_bolus == request_id
    for dose, steps in ((now, 543), (extended, 814)):
        assert (dose["confirmed_steps"], dose["maximum_steps"]) == (steps, steps)
        assert (dose["certainty"], dose["outcome"]) == ("exact", "done")
    bench.ask("suspend")
    basal = sum(one["confirmed_steps"] for one in basal_doses(bench))
    assert bench.truth_steps - before == 543 + 814 + basal


def basal_doses(bench: VirtualBench) -> list[Any]:
    return [one.record() for one in bench.pump.book.doses.values() if one.kind == "basal"]


def test_a_normal_bolus_starts_during_an_extended_one_and_a_second_extended_one_does_not() -> None:
    bench = pump()
    request_id = bench.start_bolus("1", extend="1", over_s=3_600)
    bench.run(60)
    normal = bench.start_bolus("0.5")
    with pytest.raises(Refusal, match="another bolus is being delivered"):
        bench.start_bolus("0.5", extend="0.5", over_s=900)
    until_closed(bench, normal)
    with pytest.raises(Refusal, match="another extended bolus runs"):
        bench.start_bolus("0.5", extend="0.5", over_s=900)
    assert bench.dose(normal)["confirmed_steps"] == 271
    assert bench.dose(request_id)["outcome"] == "open"
    (dose,) = until_closed(bench, request_id)
    assert dose["confirmed_steps"] == 543
    assert bench.truth_steps == 814


@pytest.mark.parametrize(
    ("what", "now", "extended"),
    [
        ("now", "stopped", "done"),
        ("extended", "done", "stopped"),
        ("bolus", "stopped", "stopped"),
        ("all", "stopped", "stopped"),
    ],
)
def test_either_part_is_stopped_alone_or_both_and_the_exact_parts_are_told(
    what: str, now: str, extended: str
) -> None:
    bench = pump(pace=60)
    request_id = bench.start_bolus("4", extend="1", over_s=900, speed="slow")
    bench.run(60)
    stopped = bench.ask("stop", what=what)["stopped"]
    assert {one["kind"] for one in stopped} == (
        {"now": {"bolus"}, "extended": {"extended"}}.get(what, {"bolus", "extended"})
    )
    assert all(one["certainty"] == "exact" for one in stopped)
    doses = until_closed(bench, request_id)
    assert [one["outcome"] for one in doses] == [now, extended]
    assert bench.truth_steps == sum(one["confirmed_steps"] for one in doses)
    assert bench.state == ("suspended" if what == "all" else "running")


def test_sr_37_a_dual_bolus_asked_for_again_is_the_same_two_doses() -> None:
    bench = pump(pace=60)
    dose = {
        "request_id": ID,
        "amount_uu": 1_000_000,
        "extended_uu": 500_000,
        "extended_s": 900,
        "speed": "normal",
    }
    review = bench.ask("bolus.review", **dose)
    assert review["programmed_steps"] == 2 * 271
    assert (review["extended_uu"], review["extended_s"], review["duration_s"]) == (
        500_000,
        900,
        900,
    )
    bench.ask("bolus.deliver", **dose, token=review["token"], stay=True)
    for _ in range(3):
        bench.run(10)
        again = bench.ask("bolus.deliver", **dose, token="again", stay=True)  # noqa: S106
        assert (again["id"], again["extended"]["part_of"]) == (ID, ID)
    for other in ({"extended_uu": 400_000}, {"amount_uu": 500_000}, {"extended_uu": 0}):
        with pytest.raises(Refusal, match="the id belongs to a dose of 1000000 uu"):
            bench.ask("bolus.deliver", **(dose | other), token="again", stay=True)  # noqa: S106
    until_closed(bench, ID)
    assert bench.truth_steps == 2 * 271


def test_sr_09_a_token_is_for_the_division_that_was_reviewed() -> None:
    bench = pump()
    dose = {"request_id": ID, "amount_uu": 1_000_000, "speed": "normal"}
    token = bench.ask("bolus.review", **dose)["token"]
    with pytest.raises(Refusal, match="the review was of another dose"):
        bench.ask(
            "bolus.deliver", **dose, extended_uu=500_000, extended_s=900, token=token, stay=True
        )
    assert bench.rows("intent") == []


@pytest.mark.parametrize(
    ("units", "extend", "over_s", "said"),
    [
        ("1", "1", 899, "duration_s = 899 is out of range: 900 to 28800"),
        ("1", "1", 28_801, "duration_s = 28801 is out of range"),
        ("1", "0", 900, "a bolus of which nothing is extended has none"),
        ("1", "1.5", 900, "1.50 U to extend is more than the whole bolus of 1.00 U"),
        ("1", "0.98", 900, "the part at once is 0.020000 U, below 0.05 U"),
        ("1", "0.02", 900, "the part extended is 0.020000 U, below 0.05 U"),
        ("26", "20", 900, "over the limit for one bolus"),
    ],
)
def test_an_extended_bolus_out_of_range_is_refused_by_field_value_and_range(
    units: str, extend: str, over_s: int, said: str
) -> None:
    bench = pump()
    with pytest.raises(Refusal, match=said):
        bench.start_bolus(units, extend=extend, over_s=over_s)
    assert bench.rows("intent") == []


def test_sr_14_the_windows_hold_what_an_extended_bolus_will_give() -> None:
    bench = pump()
    bench.ask("limits.set", **LIMITS | {"hourly_uu": 5_000_000})
    bench.start_bolus("4", extend="4", over_s=3_600)
    bench.run(60)
    with pytest.raises(Refusal, match="within 60 min"):
        bench.start_bolus("1.5")
    bench.start_bolus("0.9")


def test_sr_31_the_reservoir_holds_what_an_extended_bolus_will_take() -> None:
    bench = pump()
    bench.ask("suspend")
    bench.run(200)
    bench.ask("cartridge.load", amount_uu=5_000_000)
    bench.ask("resume")
    bench.start_bolus("4", extend="4", over_s=3_600)
    bench.run(30)
    with pytest.raises(Refusal, match=r"the reservoir holds 4\...? U, .* for the extended bolus"):
        bench.start_bolus("1.5")


def test_sr_59_an_extended_bolus_that_nobody_can_stop_any_more_ends() -> None:
    bench = pump(stop_button=False, basal_uu_per_h=1_000_000, pace=1)
    request_id = bench.start_bolus("1", extend="1", over_s=900)
    bench.run(10)
    bench.client_gone()
    bench.run(2)
    assert bench.dose(request_id)["outcome"] == "open"
    bench.run(3)
    dose = bench.dose(request_id)
    assert (dose["outcome"], dose["why"]) == ("stopped", "nobody could have stopped it")
    assert bench.state == "running"
    assert "no client, touchscreen or stop" in bench.snapshot()["alarms"][0]["text"]
    assert dose["certainty"] == "exact"


def test_suspend_ends_an_extended_bolus_and_resume_does_not_bring_it_back() -> None:
    bench = pump()
    request_id = bench.start_bolus("1", extend="1", over_s=900)
    bench.run(300)
    bench.ask("suspend")
    assert bench.dose(request_id)["outcome"] == "stopped"
    bench.ask("resume")
    steps = bench.truth_steps
    bench.run(900)
    assert bench.truth_steps == steps == bench.dose(request_id)["confirmed_steps"]


@pytest.mark.parametrize("kill", ["pump", "stepper", "guard"])
def test_sr_36_sr_38_a_dual_bolus_that_a_crash_cut_is_closed_with_bounds_and_never_resumed(
    kill: str,
) -> None:
    bench = VirtualBench(basal_uu_per_h=1_000_000)
    request_id = bench.start_bolus("2", extend="1", over_s=900)
    bench.run(8)
    if kill == "pump":
        bench.kill_pump()
        bench.run(2)
        bench.start_pump()
        bench.run_until(lambda: bench.state == "faulted", 20)
    else:
        bench.kill_stepper() if kill == "stepper" else bench.kill_guard()
        bench.run(5)
    bench.run(5)
    pump = bench.snapshot()
    assert pump["confirmed_steps"] <= bench.truth_steps <= pump["maximum_steps"]
    doses = parts(bench, request_id)
    assert {one["outcome"] for one in doses} <= {"uncertain", "fault"}
    all_doses = [*doses, *basal_doses(bench)]
    assert sum(one["confirmed_steps"] for one in all_doses) <= bench.truth_steps
    assert bench.truth_steps <= sum(one["maximum_steps"] for one in all_doses)
    assert pump["extended"] is None


def test_the_book_is_the_same_from_a_checkpoint_with_a_dual_bolus_and_a_temporary_basal() -> None:
    bench = pump(basal_uu_per_h=1_000_000)
    bench.start_bolus("2", extend="1", over_s=900)
    bench.ask("temp.start", kind="percent", value=150, duration_s=1_800)
    bench.run(100)
    live, restored = bench.pump.book, Book()
    restored._restore(live.body()["book"])
    assert restored == live
    rows = Book()
    for row in bench.rows():
        rows.apply(row)
    assert rows == live


def test_a_checkpoint_of_an_older_version_is_still_read() -> None:
    bench = pump()
    bench.bolus("0.5")
    raw = dict(bench.pump.book.body()["book"])
    del raw["temp"], raw["next_temp"]
    raw["doses"] = {
        key: {k: v for k, v in one.items() if k not in ("whole_uu", "part_of", "extended_id")}
        for key, one in raw["doses"].items()
    }
    book = Book()
    book._restore(raw)
    assert (book.temp, book.next_temp, book.seq) == (None, 1, bench.pump.book.seq)


def test_a_slow_normal_and_fast_bolus_take_their_time() -> None:
    for speed, seconds in (("slow", 80), ("normal", 40), ("fast", 12)):
        bench = pump(pace=4)
        begun_ns = bench.now_ns
        bench.bolus("1", speed=speed)
        assert abs((bench.now_ns - begun_ns) / NS_PER_S - seconds) < 4


def test_the_step_of_a_quick_bolus_is_a_setting_with_a_range() -> None:
    bench = pump()
    assert bench.ask("quick.show")["step_uu"] is None
    bench.ask("quick.set", step_uu=500_000)
    assert bench.snapshot()["quick_step_uu"] == bench.ask("quick.show")["step_uu"] == 500_000
    for wrong in (0, 40_000, 5_010_000, 55_000):
        with pytest.raises(Refusal, match=f"step_uu = {wrong} is out of range: 50000 to 5000000"):
            bench.ask("quick.set", step_uu=wrong)


LIMITS = {
    "max_bolus_uu": 25_000_000,
    "hourly_uu": 60_000_000,
    "daily_uu": 300_000_000,
    "max_basal_uu_per_h": 35_000_000,
    "min_interval_s": 10,
}


def test_sr_36_what_a_bolus_gave_before_a_crash_is_not_counted_as_basal_again() -> None:
    bench = VirtualBench(basal_uu_per_h=1_000_000)
    bench.run(300)
    bolus = bench.bolus("0.53")  # its last lease is not used up when it ends
    bench.kill_pump()
    bench.start_pump()
    bench.run_until(lambda: bench.state == "faulted", 20)
    bodies = [row.entry.body for row in bench.rows("closed")]
    assert {body["certainty"] for body in bodies} == {"exact"}
    assert sum(body["confirmed_steps"] for body in bodies) == bench.truth_steps
    assert bolus["confirmed_steps"] == bolus["programmed_steps"]
