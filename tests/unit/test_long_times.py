"""Dates and uptimes that end other programs: one story, told again at each of them."""

from datetime import UTC, datetime

import pytest

from appliance.simulate.bench import VirtualBench

NS_PER_S = 1_000_000_000
ORDINARY = datetime(2026, 5, 4, 11, 30, tzinfo=UTC)
DATES = {
    "NTP's first era ends": datetime(2036, 2, 7, 6, 28, 16, tzinfo=UTC),
    "31 bits of seconds end": datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    "a year of 100 without a leap day": datetime(2100, 3, 1, tzinfo=UTC),
    "32 bits of seconds end": datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),
}
YEAR_NS = 31_557_600 * NS_PER_S
UPTIMES_NS = {
    "31 bits of ms": 2**31 * 1_000_000,
    "32 bits of ms": 2**32 * 1_000_000,
    "53 bits of ns, where a float loses them": 2**53,
    "ten years": 10 * YEAR_NS,
}
BEFORE_S = 120


def told(**begun: int) -> list[object]:
    """Tell the story: basal, a bolus over the instant, a stop; return every number of it.

    Instants are counted from the beginning: each edge at the motor, to the nanosecond.
    """
    bench = VirtualBench(basal_uu_per_h=2_000_000, **begun)
    try:
        start_ns = begun.get("start_ns", 1_000 * NS_PER_S)
        bench.run(BEFORE_S - 20)
        request_id = bench.start_bolus("1")
        bench.run(120)
        dose = bench.dose(request_id)
        bench.ask("suspend")
        bench.run(10)
        edges = [(at_ns - start_ns, level) for at_ns, level in bench.plant.step_trace]
        assert edges
        counts = (dose["programmed_steps"], dose["confirmed_steps"], bench.truth_steps)
        return [dose["outcome"], dose["certainty"], counts, edges]
    finally:
        bench.close()


@pytest.fixture(scope="module")
def ordinary() -> list[object]:
    return told(start_utc_ns=int(ORDINARY.timestamp()) * NS_PER_S)


@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
def test_sr_47_over_a_date_that_ends_other_clocks_each_edge_comes_when_it_should(
    date: datetime, ordinary: list[object]
) -> None:
    start_utc_ns = (int(date.timestamp()) - BEFORE_S) * NS_PER_S
    assert told(start_utc_ns=start_utc_ns) == ordinary


@pytest.mark.parametrize("uptime_ns", UPTIMES_NS.values(), ids=UPTIMES_NS)
def test_f34_after_years_without_a_restart_each_edge_comes_to_the_nanosecond(
    uptime_ns: int, ordinary: list[object]
) -> None:
    start_ns = uptime_ns - BEFORE_S * NS_PER_S
    utc_ns = int(ORDINARY.timestamp()) * NS_PER_S
    assert told(start_ns=start_ns, start_utc_ns=utc_ns) == ordinary
