"""Basal profiles over the real engine: kept, copied, renamed, deleted, followed; and the days that
are not 24 hours long.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.domain.units import NS_PER_H, NS_PER_S
from appliance.engine.book import Book
from appliance.simulate.bench import Refusal, VirtualBench

PACE = 400


def pump(**more: Any) -> VirtualBench:
    return VirtualBench(**({"basal_uu_per_h": 1_000_000, "pace": PACE} | more))


def keep(bench: VirtualBench, name: str, *points: tuple[int, int], **more: Any) -> Any:
    segments = [{"start_min_of_day": at, "rate_uu_per_h": rate} for at, rate in points]
    asked = {"name": name, "segments": segments, "replace": False, "confirm": True} | more
    return bench.ask("basal.import", **asked)


def test_twelve_profiles_are_kept_and_a_thirteenth_is_refused() -> None:
    bench = pump()
    for number in range(11):
        keep(bench, f"Profile {number}", (0, 500_000))
    with pytest.raises(Refusal, match="there are 12 profiles already"):
        keep(bench, "One more", (0, 500_000))
    with pytest.raises(Refusal, match="there are 12 profiles already"):
        bench.ask("basal.copy", name="Day", new_name="One more")
    keep(bench, "Profile 3", (0, 600_000), replace=True)
    assert len(bench.ask("basal.show")["profiles"]) == 12


def test_a_profile_is_copied_renamed_and_deleted_and_every_change_has_its_row() -> None:
    bench = pump()
    bench.ask("basal.copy", name="Day", new_name="Sport")
    bench.ask("basal.rename", name="Sport", new_name="Sick day")
    bench.ask("basal.delete", name="Sick day")
    day = [{"start_min_of_day": 0, "rate_uu_per_h": 1_000_000}]
    rows = [row.entry.body for row in bench.rows("setting")][-4:]
    assert [(row["name"], row["old"], row["new"]) for row in rows] == [
        ("basal.profile.Sport", None, day),
        ("basal.profile.Sick day", None, day),
        ("basal.profile.Sport", day, None),
        ("basal.profile.Sick day", day, None),
    ]
    assert bench.ask("basal.show")["profiles"] == {"Day": day}


def test_the_profile_in_use_is_renamed_without_a_gap_and_never_deleted() -> None:
    bench = pump()
    bench.run(60)
    with pytest.raises(Refusal, match="the profile 'Day' is in use: follow another one first"):
        bench.ask("basal.delete", name="Day")
    blocks = len(bench.rows("intent"))
    bench.ask("basal.rename", name="Day", new_name="Weekday")
    bench.run(600)
    assert bench.ask("basal.show")["active"] == "Weekday"
    assert bench.snapshot()["basal_uu_per_h"] == 1_000_000
    assert len(bench.rows("intent")) == blocks


@pytest.mark.parametrize(
    ("verb", "asked", "said"),
    [
        ("basal.copy", {"name": "None", "new_name": "New"}, "no profile 'None'; known: Day"),
        ("basal.copy", {"name": "Day", "new_name": "Day"}, "a profile 'Day' is there already"),
        ("basal.copy", {"name": "Day", "new_name": "x" * 21}, "1 to 20 printable characters"),
        ("basal.rename", {"name": "None", "new_name": "New"}, "no profile 'None'; known: Day"),
        ("basal.rename", {"name": "Day", "new_name": "Day"}, "a profile 'Day' is there already"),
        ("basal.delete", {"name": "None"}, "no profile 'None'; known: Day"),
    ],
)
def test_what_cannot_be_done_with_a_profile_is_refused_with_its_name(
    verb: str, asked: dict[str, str], said: str
) -> None:
    bench = pump()
    rows = len(bench.rows("setting"))
    with pytest.raises(Refusal, match=said):
        bench.ask(verb, **asked)
    assert len(bench.rows("setting")) == rows


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ([(0, 500_000), (60, 0), (120, 500_000)], ["from 01:00 on nothing is given"]),
        ([(0, 100_000), (720, 301_000)], ["at 00:00 the rate jumps", "at 12:00 the rate jumps"]),
        ([(0, 3_000_000), (720, 5_001_000)], ["from 5.001 U/h to 3.000", "from 3.000 U/h to 5.0"]),
        ([(0, 100_000), (720, 300_000)], []),
        ([(0, 3_000_000), (720, 5_000_000)], []),
    ],
)
def test_nothing_and_large_jumps_have_to_be_confirmed(
    points: list[tuple[int, int]], said: list[str]
) -> None:
    bench = pump()
    if said:
        with pytest.raises(Refusal) as refused:
            keep(bench, "Odd", *points, confirm=False)
        assert len(refused.value.reasons) == len(said)
        for part, reason in zip(said, refused.value.reasons, strict=True):
            assert part in reason
        keep(bench, "Odd", *points, confirm=True)
    else:
        keep(bench, "Odd", *points, confirm=False)
    assert "Odd" in bench.ask("basal.show")["profiles"]


def test_a_segment_carries_what_a_calculator_takes_there() -> None:
    bench = pump()
    keep(
        bench,
        "Full",
        (0, 500_000),
        (360, 600_000),
        carb_ratios_mg_per_u=[12_500, None],
        sensitivities_mg_dl_per_u=[50, 45],
        targets_mg_dl=[None, 110],
    )
    assert bench.ask("basal.show")["profiles"]["Full"] == [
        {
            "start_min_of_day": 0,
            "rate_uu_per_h": 500_000,
            "carb_ratio_mg_per_u": 12_500,
            "sensitivity_mg_dl_per_u": 50,
        },
        {
            "start_min_of_day": 360,
            "rate_uu_per_h": 600_000,
            "sensitivity_mg_dl_per_u": 45,
            "target_mg_dl": 110,
        },
    ]
    bench.ask("basal.use", name="Full")
    bench.run(60)
    assert bench.snapshot()["scheduled_uu_per_h"] in (500_000, 600_000)


@pytest.mark.parametrize(
    ("column", "numbers", "said"),
    [
        ("carb_ratios_mg_per_u", [999], r"segments\[0\].carb_ratio_mg_per_u = 999: 1000 to 150000"),
        ("sensitivities_mg_dl_per_u", [401], "sensitivity_mg_dl_per_u = 401: 1 to 400"),
        ("targets_mg_dl", [59], "target_mg_dl = 59: 60 to 250"),
        ("targets_mg_dl", [100, 100], "targets_mg_dl: one for each of the 1 segments, not 2"),
    ],
)
def test_a_calculators_number_out_of_range_is_refused(
    column: str, numbers: list[int], said: str
) -> None:
    bench = pump()
    with pytest.raises(Refusal, match=said):
        keep(bench, "Full", (0, 500_000), **{column: numbers})
    assert "Full" not in bench.ask("basal.show")["profiles"]


def test_profiles_of_an_older_ledger_are_kept_and_change_one_by_one() -> None:
    book = Book()
    day = [{"start_min_of_day": 0, "rate_uu_per_h": 500_000}]
    book._setting({"name": "basal.profiles", "new": {"Day": day, "Night": day}})
    book._setting({"name": "basal.profile.Day", "new": None})
    assert book.settings["basal.profiles"] == {"Night": day}


# ---------------------------------------------------------------------- the wall clock (F31..F33)


def utc_ns(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * NS_PER_S


def hourly(bench: VirtualBench) -> None:
    """Follow a profile whose rate says its hour: 0.20 U/h at 00:00, 0.21 at 01:00 and so on."""
    points = [(60 * hour, rate_of(hour)) for hour in range(24)]
    keep(bench, "Hours", *points)
    bench.ask("basal.use", name="Hours")


def rate_of(hour: int) -> int:
    return 200_000 + 10_000 * hour


def hour_now(bench: VirtualBench) -> int:
    return int(bench.snapshot()["basal_uu_per_h"] - rate_of(0)) // 10_000


def hours_given(bench: VirtualBench, seconds: float) -> dict[int, float]:
    """Let time go by; return how long each hour's rate was given, in hours."""
    bench.run(seconds)
    bench.ask("suspend")
    bodies = [row.entry.body for row in bench.rows("intent")]
    blocks = {body["request_id"]: body for body in bodies if body["profile"] == "Hours"}
    given: dict[int, float] = {}
    for row in bench.rows("closed"):
        body = row.entry.body
        if body["request_id"] in blocks:
            rate = blocks[body["request_id"]]["rate_uu_per_h"]
            hour = (rate - rate_of(0)) // 10_000
            given[hour] = given.get(hour, 0.0) + body["programmed_uu"] / rate
    return {hour: round(time, 1) for hour, time in given.items() if round(time, 1)}


@pytest.mark.parametrize(
    ("zone", "start", "hours", "given"),
    [
        # 2026-03-29: at 02:00 the clocks in Berlin go to 03:00; that hour is not in the day.
        ("Europe/Berlin", (2026, 3, 28, 23, 0), 4, {0: 1, 1: 1, 3: 1, 4: 1}),
        # 2026-10-25: at 03:00 they go back to 02:00; that hour is there twice.
        ("Europe/Berlin", (2026, 10, 24, 22, 0), 5, {0: 1, 1: 1, 2: 2, 3: 1}),
        # 2026-04-05 on Lord Howe Island: half an hour back at 02:00.
        ("Australia/Lord_Howe", (2026, 4, 4, 13, 0), 4, {0: 1, 1: 1.5, 2: 1, 3: 0.5}),
    ],
)
def test_f33_at_a_change_of_summer_time_the_local_hour_is_given_and_no_time_is_lost(
    zone: str, start: tuple[int, ...], hours: int, given: dict[int, float]
) -> None:
    bench = pump(zone=zone, start_utc_ns=utc_ns(*start))
    hourly(bench)
    before, begun_ns = bench.truth_steps, bench.now_ns
    assert hours_given(bench, hours * 3_600) == pytest.approx(given, abs=0.11)
    asked_uu = sum(rate_of(hour) * time for hour, time in given.items())
    real_h = (bench.now_ns - begun_ns) / NS_PER_H
    assert abs(real_h - hours) < 0.02
    moved_uu = bench.mechanics.uu_of(bench.truth_steps - before)
    assert moved_uu == pytest.approx(asked_uu, rel=0.02)
    assert bench.rows("clock") == []
    assert [row.seq for row in bench.rows()] == list(range(1, len(bench.rows()) + 1))


@pytest.mark.parametrize(
    ("zone", "hour"), [("America/New_York", 5), ("Asia/Tokyo", 19)], ids=["west", "east"]
)
def test_f33_after_a_change_of_zone_the_new_local_hour_is_given_and_nothing_twice(
    zone: str, hour: int
) -> None:
    bench = pump(zone="UTC", start_utc_ns=utc_ns(2026, 1, 15, 10, 30))
    hourly(bench)
    before = bench.truth_steps
    bench.run(600)
    assert hour_now(bench) == 10
    bench.set_zone(zone)
    bench.run(300)
    assert hour_now(bench) == hour
    bench.run(1_800)
    assert hour_now(bench) == hour + 1
    bench.ask("suspend")
    moved_uu = bench.mechanics.uu_of(bench.truth_steps - before)
    asked_uu = (rate_of(10) * 600 + rate_of(hour) * 1_200 + rate_of(hour + 1) * 900) // 3_600
    assert moved_uu == pytest.approx(asked_uu, rel=0.05)


@pytest.mark.parametrize("step_s", [3_600, -3_600])
def test_f31_a_clock_step_changes_the_hour_that_is_given_and_not_a_dose_that_runs(
    step_s: int,
) -> None:
    bench = pump(zone="UTC", start_utc_ns=utc_ns(2026, 1, 15, 10, 20))
    hourly(bench)
    request_id = bench.start_bolus("1", extend="1", over_s=1_800)
    bench.run(60)
    bench.set_wall(step_s)
    bench.run(120)
    assert hour_now(bench) == 10 + step_s // 3_600
    bench.run(1_800)
    dose = bench.dose(request_id)
    assert (dose["outcome"], dose["confirmed_steps"]) == ("done", 543)
    assert [row.entry.body["step_ns"] for row in bench.rows("clock")] == [step_s * NS_PER_S]
    assert any("wall clock" in one["text"] for one in bench.snapshot()["alarms"])


def test_f32_a_boot_in_1970_runs_by_that_clock_and_a_later_step_moves_the_schedule() -> None:
    bench = pump(zone="UTC", start_utc_ns=utc_ns(1970, 1, 1, 0, 30))
    hourly(bench)
    bench.run(120)
    assert hour_now(bench) == 0
    steps = bench.truth_steps
    bench.set_wall((utc_ns(2026, 1, 15, 15, 0) - bench.wall_ns) // NS_PER_S)
    bench.run(300)
    assert hour_now(bench) == 15
    assert bench.truth_steps - steps <= 20
    assert [row.seq for row in bench.rows()] == list(range(1, len(bench.rows()) + 1))


def test_a_leap_day_has_its_24_hours() -> None:
    bench = pump(zone="UTC", start_utc_ns=utc_ns(2028, 2, 28, 22, 0))
    hourly(bench)
    given = hours_given(bench, 5 * 3_600)
    assert given == pytest.approx({22: 1, 23: 1, 0: 1, 1: 1, 2: 1}, abs=0.11)
