"""Insulin on board over the real engine: from what was really delivered, over restarts as well."""

from typing import Any

import pytest

from appliance.domain.insulin import curve_of
from appliance.engine.book import Book
from appliance.ports import Entry, Row
from appliance.simulate.bench import Refusal, VirtualBench

PACE = 200
LEASE_UU = 50_000


def pump(**more: Any) -> VirtualBench:
    return VirtualBench(**({"basal_uu_per_h": 0, "pace": PACE} | more))


def iob(bench: VirtualBench) -> Any:
    bench.run(120)  # it is summed up once a minute
    return bench.snapshot()["iob_uu"]


def test_a_bolus_is_on_board_by_the_curve_and_all_of_it_is_gone_at_the_end() -> None:
    bench = pump()
    assert iob(bench) == {"bolus": 0, "basal": 0, "total": 0, "least": 0, "model": "rapid"}
    bench.bolus("2")
    whole = bench.mechanics.uu_of(bench.truth_steps)
    for minutes in (30, 60, 120, 240):
        begun_ns = bench.rows("closed")[0].entry.mono_ns
        bench.run_to(begun_ns + minutes * 60_000_000_000)
        age_min = (bench.now_ns - begun_ns) / 60_000_000_000
        left = curve_of("rapid").left(age_min) * whole
        assert iob(bench)["bolus"] == pytest.approx(left, abs=0.02 * whole)
    bench.run(3 * 3_600)
    assert iob(bench)["total"] == 0


def test_basal_that_follows_its_schedule_is_nothing_on_board_and_a_deviation_is() -> None:
    bench = pump(basal_uu_per_h=1_000_000)
    bench.run(2 * 3_600)
    assert abs(iob(bench)["basal"]) <= LEASE_UU
    bench.ask("temp.start", kind="percent", value=200, duration_s=3_600)
    bench.run(3_600)
    more = iob(bench)["basal"]
    assert 800_000 < more < 1_000_000
    bench.ask("suspend")
    bench.run(3_600)
    assert iob(bench)["basal"] < more - 800_000
    assert iob(bench)["bolus"] == 0


def test_an_extended_bolus_counts_as_it_goes_out() -> None:
    bench = pump()
    bench.start_bolus("2", extend="2", over_s=3_600)
    bench.run(1_800)
    assert iob(bench)["bolus"] == pytest.approx(1_000_000, abs=80_000)


@pytest.mark.parametrize("crash", [False, True], ids=["after a clean end", "after a crash"])
def test_what_is_on_board_is_still_there_after_a_restart(*, crash: bool) -> None:
    bench = pump(basal_uu_per_h=1_000_000)
    bench.ask("temp.start", kind="percent", value=200, duration_s=3_600)
    bench.bolus("2")
    bench.run(600)
    before = iob(bench)
    bench.kill_pump() if crash else bench.stop_pump()
    bench.start_pump()
    bench.run_until(lambda: bench.state in ("running", "faulted"), 20 * PACE)
    after = iob(bench)
    assert after["bolus"] == pytest.approx(before["bolus"], abs=30_000)
    assert after["basal"] == pytest.approx(before["basal"], abs=2 * LEASE_UU)
    assert after["least"] <= after["total"]
    rows = Book()
    for row in bench.rows():
        rows.apply(row)
    assert rows == bench.pump.book


def test_a_bolus_that_a_crash_left_in_doubt_counts_with_its_maximum() -> None:
    bench = pump(pace=1, readback=False)
    bench.start_bolus("5")
    bench.run(20)
    bench.kill_pump()
    bench.run(2)
    bench.start_pump()
    bench.run_until(lambda: bench.state == "faulted", 20)
    bench.run(2)
    shown = bench.snapshot()["iob_uu"]
    (dose,) = [row.entry.body for row in bench.rows("closed")]
    assert dose["certainty"] == "uncertain"
    uu_of = bench.mechanics.uu_of
    assert shown["total"] == pytest.approx(uu_of(dose["maximum_steps"]), rel=0.01)
    assert shown["least"] == pytest.approx(uu_of(dose["confirmed_steps"]), rel=0.01)
    assert shown["least"] < shown["total"]


def test_over_another_boot_with_unproven_clocks_a_bolus_counts_from_the_boot() -> None:
    bench = pump(basal_uu_per_h=1_000_000)
    bench.bolus("2")
    bench.run(2 * 3_600)
    before = iob(bench)
    bench.stop_pump()
    bench.boot += 1
    bench.start_pump()
    bench.run_until(lambda: bench.state == "running", 20 * PACE)
    after = iob(bench)
    assert after["bolus"] > before["bolus"]
    assert after["bolus"] == pytest.approx(2_000_000, rel=0.03)
    assert abs(after["basal"]) <= LEASE_UU


def test_the_curve_is_a_setting_and_an_impossible_one_is_refused() -> None:
    bench = pump()
    shown = bench.ask("insulin.show")
    assert (shown["model"], shown["set"], shown["duration_min"], shown["peak_min"]) == (
        "rapid",
        False,
        360,
        75,
    )
    bench.bolus("2")
    bench.run(3_600)
    by_rapid = iob(bench)["total"]
    model = {"model": "linear", "duration_min": 180, "peak_min": None, "delay_min": None}
    bench.ask("insulin.set", **model)
    by_linear = iob(bench)
    assert by_linear["model"] == "linear"
    assert by_linear["total"] < by_rapid
    for wrong, said in (
        ({"model": "exponential", "duration_min": 360, "peak_min": 180}, "peak_min = 180: 5 to 17"),
        ({"model": "bilinear"}, "duration_min is missing: bilinear needs it"),
        ({"model": "magic"}, "model = 'magic': one of rapid"),
    ):
        with pytest.raises(Refusal, match=said):
            bench.ask("insulin.set", **wrong)
    assert bench.rows("setting")[-1].entry.body["new"] == model


def test_what_was_counted_and_is_not_confirmed_at_the_end_is_taken_off_again() -> None:
    book = Book()

    def take(kind: str, minute: int, **body: Any) -> None:
        entry = Entry(kind, "boot-1", minute * 60_000_000_000, 0, 0, "set", body)
        book.apply(Row(book.seq + 1, entry, b""))

    def placed() -> list[tuple[int, int]]:
        return [(one.bolus_confirmed, one.bolus_maximum) for one in book.spent]

    bolus = {"request_id": "a", "dose": "bolus", "programmed_uu": 100_000, "programmed_steps": 54}
    take("intent", 0, **bolus, rate_uu_per_h=1, programme=1, run=1)
    for number, issued in ((1, 27), (2, 50)):
        take("lease", number, number=number, run=1, motion=1, direction=1, steps=27)
        counts = {"confirmed_steps": 27, "maximum_steps": 27, "programmes": {"1": issued}}
        take("count", number, lease=number, **counts)
    assert placed() == [(27, 27), (23, 23)]
    end = {"issued_steps": 54, "certainty": "uncertain", "outcome": "uncertain", "why": ""}
    steps = {"confirmed_steps": 25, "maximum_steps": 54}
    take("closed", 3, **bolus, **end, **steps)
    assert placed() == [(25, 27), (0, 23), (0, 4)]
    assert (book.placed, book.kinds) == ({}, {})


def test_f31_f33_what_is_on_board_knows_nothing_of_the_wall_clock() -> None:
    # 2027-03-27 23:00 in Berlin: summer time begins three hours later.
    begins_ns = 1_806_184_800 * 10**9
    moved = pump(basal_uu_per_h=1_000_000, zone="Europe/Berlin", start_utc_ns=begins_ns)
    plain = pump(basal_uu_per_h=1_000_000, start_utc_ns=begins_ns)
    for bench in (moved, plain):
        bench.ask("temp.start", kind="percent", value=200, duration_s=7_200)
        bench.bolus("3")
    happens = (
        lambda: moved.set_wall(-3_600),
        lambda: moved.set_zone("Australia/Sydney"),
        lambda: moved.set_zone("Europe/Berlin"),
        lambda: moved.set_wall(86_400 + 3_600),
    )
    for happen in happens:
        for bench in (moved, plain):
            bench.run(1_800)
        happen()
        there, here = iob(moved), iob(plain)
        assert there["bolus"] == pytest.approx(here["bolus"], abs=10_000)
        assert there["basal"] == pytest.approx(here["basal"], abs=2 * LEASE_UU)
    assert there["bolus"] > 1_000_000
    assert moved.snapshot()["clock"]["offset_s"] == 7_200, "summer time has begun"
