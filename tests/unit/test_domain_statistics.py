"""Statistics of glucose, against pandas on generated traces with gaps, duplicates and DST days."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from appliance.domain.glucose import (
    Reading,
    SignalState,
    arrow_of,
    format_glucose,
    parse_glucose,
    predicted_mg_dl,
    slope_mg_dl_per_h,
    state_of,
)
from appliance.domain.statistics import (
    AGP_PERCENTILES,
    Sample,
    Tally,
    bands_of,
    distinct,
    episodes,
    profile_of_day,
    risks,
    statistics_of,
)
from appliance.errors import BadAmount

S = 1_000_000_000
MIN = 60 * S
BERLIN = ZoneInfo("Europe/Berlin")
KINDS = ["whole", "gaps", "duplicates", "few"]
# Days whose clocks are set forward, back, and not at all.
STARTS = [datetime(2026, 3, 22), datetime(2026, 10, 18), datetime(2026, 7, 1)]  # noqa: DTZ001


def trace(kind: str, start: datetime, days: int, seed: int) -> tuple[list[Sample], int, int]:
    """A random walk of readings from a local midnight to one ``days`` later."""
    dice = Random(seed)  # noqa: S311
    begin = start.replace(tzinfo=BERLIN).astimezone(UTC)
    end = (start + timedelta(days=days)).replace(tzinfo=BERLIN).astimezone(UTC)
    from_ns, until_ns = (int(one.timestamp()) * S for one in (begin, end))
    samples, glucose, at = [], 120.0, from_ns + dice.randrange(5 * MIN)
    while at < until_ns:
        glucose = min(400, max(40, glucose + dice.gauss(0, 9) + (125 - glucose) * 0.02))
        local = datetime.fromtimestamp(at // S, UTC).astimezone(BERLIN)
        offset = local.utcoffset()
        assert offset is not None
        one = Sample(at, round(glucose), int(offset.total_seconds()))
        if kind != "gaps" or dice.random() > 0.15:
            samples.append(one)
        if kind == "duplicates" and dice.random() < 0.1:
            samples.append(Sample(one.utc_ns, one.mg_dl + 7, one.offset_s))
        if kind == "gaps" and dice.random() < 0.01:
            at += dice.randrange(4 * 60) * MIN
        at += 5 * MIN + (dice.randrange(-20, 21) * S if kind != "whole" else 0)
    if kind == "few":
        samples = samples[:1]
    dice.shuffle(samples) if kind == "gaps" else None
    return samples, from_ns, until_ns


def frame(samples: list[Sample]) -> pd.DataFrame:
    table = pd.DataFrame({"at": [one.utc_ns for one in samples], "bg": [s.mg_dl for s in samples]})
    table = table.drop_duplicates("at", keep="first").sort_values("at")
    table["time"] = pd.to_datetime(table["at"], utc=True).dt.tz_convert(BERLIN)
    return table


@pytest.mark.parametrize("start", STARTS, ids=["spring", "autumn", "summer"])
@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_those_of_pandas(kind: str, start: datetime) -> None:
    samples, from_ns, until_ns = trace(kind, start, 14, seed=len(kind) + start.month)
    table, ours = frame(samples), statistics_of(samples, from_ns, until_ns)
    assert ours.readings == len(table)
    assert ours.bands is not None
    assert ours.mean_mg_dl == pytest.approx(table.bg.mean())
    if len(table) > 1:
        assert ours.sd_mg_dl == pytest.approx(table.bg.std())
        assert ours.cv == pytest.approx(100 * table.bg.std() / table.bg.mean())
    else:
        assert (ours.sd_mg_dl, ours.cv) == (None, None)
    assert ours.gmi == pytest.approx(3.31 + 0.02392 * table.bg.mean())
    cut = pd.cut(table.bg, [0, 53, 69, 180, 250, 1_000]).value_counts(sort=False, normalize=True)
    five = list(vars_of(ours.bands).values())[:5]
    assert five == pytest.approx(list(cut * 100))
    assert sum(five) == pytest.approx(100)
    f = 1.509 * (np.log(table.bg) ** 1.084 - 5.381)
    assert ours.lbgi == pytest.approx((10 * f.where(f < 0, 0) ** 2).mean())
    assert ours.hbgi == pytest.approx((10 * f.where(f > 0, 0) ** 2).mean())
    hours = (until_ns - from_ns) / 3_600 / S
    assert ours.days * 24 == pytest.approx(hours)
    covered = ((table["at"] - from_ns) // (5 * MIN)).nunique()
    assert ours.covered == pytest.approx(100 * covered / (hours * 12))


@pytest.mark.parametrize("kind", KINDS)
def test_days_that_are_added_up_give_the_statistics_of_their_readings(kind: str) -> None:
    samples, from_ns, until_ns = trace(kind, STARTS[0], 14, seed=11)
    wanted = statistics_of(samples, from_ns, until_ns)
    days: dict[int, Tally] = {}
    for one in distinct(samples):
        days.setdefault(one.utc_ns // (24 * 60 * MIN), Tally()).take(one.mg_dl)
    whole = Tally()
    for tally in days.values():
        whole.add(tally)
    assert whole.readings == wanted.readings
    assert whole.mean_mg_dl == pytest.approx(wanted.mean_mg_dl)
    assert whole.sd_mg_dl == (wanted.sd_mg_dl and pytest.approx(wanted.sd_mg_dl))
    assert whole.low_risk / whole.readings == pytest.approx(wanted.lbgi)
    assert whole.high_risk / whole.readings == pytest.approx(wanted.hbgi)
    assert wanted.bands is not None
    bands = vars_of(wanted.bands)
    assert {band: whole.share(band) for band in whole.bands} == pytest.approx(
        {band: bands[band] for band in whole.bands}
    )


def vars_of(bands: Any) -> dict[str, float]:
    return {name: getattr(bands, name) for name in bands.__slots__}


@pytest.mark.parametrize("start", STARTS, ids=["spring", "autumn", "summer"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_profile_of_the_day_has_the_percentiles_of_pandas(kind: str, start: datetime) -> None:
    samples, *_ = trace(kind, start, 14, seed=5)
    table = frame(samples)
    slot = (table.time.dt.hour * 60 + table.time.dt.minute) // 15 * 15
    wanted = table.groupby(slot).bg.quantile([part / 100 for part in AGP_PERCENTILES]).unstack()
    ours = profile_of_day(samples)
    assert [row["min_of_day"] for row in ours] == list(wanted.index)
    assert sum(row["readings"] for row in ours) == len(table)
    for row, (_, theirs) in zip(ours, wanted.iterrows(), strict=True):
        assert [row[f"p{part}"] for part in AGP_PERCENTILES] == pytest.approx(list(theirs))


def test_a_day_of_23_or_25_hours_is_as_long_as_it_was() -> None:
    for start, hours in ((datetime(2026, 3, 29), 23), (datetime(2026, 10, 25), 25)):  # noqa: DTZ001
        samples, from_ns, until_ns = trace("whole", start, 1, seed=1)
        ours = statistics_of(samples, from_ns, until_ns)
        assert (ours.readings, ours.covered) == (hours * 12, 100)
        assert ours.days * 24 == pytest.approx(hours)


def test_data_are_enough_from_fourteen_days_and_seventy_per_cent_on() -> None:
    samples, from_ns, until_ns = trace("whole", STARTS[2], 14, seed=2)
    assert statistics_of(samples, from_ns, until_ns).enough
    assert not statistics_of(samples[: len(samples) * 69 // 100], from_ns, until_ns).enough
    assert not statistics_of(samples, from_ns, until_ns - 1).enough


def test_no_reading_gives_no_number() -> None:
    ours = statistics_of([], 0, 10)
    assert (ours.readings, ours.covered, ours.mean_mg_dl, ours.bands) == (0, 0, None, None)
    with pytest.raises(ValueError, match="0 ns long"):
        statistics_of([], 5, 5)


def test_of_two_readings_at_one_instant_the_first_counts() -> None:
    assert distinct([Sample(2, 90), Sample(1, 80), Sample(2, 200)]) == [
        Sample(1, 80),
        Sample(2, 90),
    ]


def test_the_bands_meet_without_a_gap() -> None:
    bands = bands_of([53, 54, 69, 70, 180, 181, 250, 251])
    assert list(vars_of(bands).values()) == [12.5, 25, 25, 25, 12.5, 12.5, 25]


def test_the_risk_is_least_at_112_and_rises_both_ways() -> None:
    assert risks([112]) == pytest.approx((0, 0), abs=0.01)
    assert risks([50])[0] == pytest.approx(22.5, abs=0.5)  # a published check: about 22 at 50
    assert risks([50])[1] == 0
    assert risks([400])[1] > risks([300])[1] > risks([200])[1] > 0


@pytest.mark.parametrize(
    ("values", "lows"),
    [
        ([60] * 4 + [90] * 4, 1),  # 15 min under it
        ([60] * 3 + [90] * 4, 0),  # 10 min
        ([60] * 4 + [90] * 2 + [60] * 4, 1),  # back for less than 15 min: the same one
        ([60] * 4 + [90] * 4 + [60] * 4, 2),
    ],
)
def test_a_low_lasts_fifteen_minutes_and_so_does_its_end(values: list[int], lows: int) -> None:
    assert episodes([Sample(n * 5 * MIN, one) for n, one in enumerate(values)]) == lows


# --- readings


def every_five(*values: int) -> list[Reading]:
    return [Reading(n * 5 * MIN, one) for n, one in enumerate(values)]


def test_a_trend_needs_three_readings_of_the_last_quarter_of_an_hour() -> None:
    assert slope_mg_dl_per_h(every_five(100, 105, 110, 115)) == 60
    assert slope_mg_dl_per_h(every_five(300, 300, 120, 110, 100)) is not None
    assert slope_mg_dl_per_h(every_five(100, 90)) is None
    assert slope_mg_dl_per_h([]) is None
    late = [Reading(0, 100), Reading(14 * MIN, 90), Reading(30 * MIN, 80)]
    assert slope_mg_dl_per_h(late) is None
    assert slope_mg_dl_per_h([Reading(0, 100)] * 3) is None


def test_a_trend_is_the_least_squares_line_of_numpy() -> None:
    dice = Random(3)  # noqa: S311
    for _ in range(50):
        readings = every_five(*(dice.randrange(60, 300) for _ in range(4)))
        slope, _ = np.polyfit([0, 5, 10, 15], [one.mg_dl for one in readings], 1)
        assert slope_mg_dl_per_h(readings) == round(slope * 60)


def test_arrows_and_predictions_follow_the_slope() -> None:
    assert [arrow_of(one) for one in (-181, -121, -61, 0, 60, 61, 180, 181)] == [
        "falling very fast", "falling fast", "falling", "flat", "flat", "rising", "rising fast",
        "rising very fast",
    ]  # fmt: skip
    assert arrow_of(None) is None
    assert predicted_mg_dl(100, -60, 30) == 70


def test_a_reading_is_stale_after_15_minutes_and_lost_after_30() -> None:
    ages = [None, 0, 15 * MIN, 15 * MIN + 1, 30 * MIN, 30 * MIN + 1]
    assert [state_of(one) for one in ages] == [
        SignalState.NONE, SignalState.OK, SignalState.OK, SignalState.STALE, SignalState.STALE,
        SignalState.LOST,
    ]  # fmt: skip


def test_a_glucose_is_read_in_both_units_and_nothing_is_guessed() -> None:
    assert (parse_glucose("142"), parse_glucose("7.9"), parse_glucose("10.0")) == (142, 142, 180)
    assert format_glucose(142) == "142 mg/dL"
    assert format_glucose(142, "mmol/L") == "7.9 mmol/L"
    for text in (
        "7",
        "7,9",
        "7.95",
        "142.0",
        "-80",
        " 142",
        "1e2",
        "19",
        "601",
        "0.9",
        "\u0661\u0662",
    ):
        with pytest.raises(BadAmount):
            parse_glucose(text)
