"""The rule sets of low-glucose protection, case by case; and on the virtual patient, with and
without.

The patient's minutes under 70 are counted with each rule set and without one, seeds fixed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.glucose import Reading, slope_mg_dl_per_h
from appliance.domain.patient import PEOPLE, Patient, Sensor
from appliance.domain.protection import (
    LONGEST_NS,
    WINDOW_NS,
    Action,
    Inputs,
    Rule,
    Span,
    decide,
    over_time,
    spent_ns,
)
from appliance.domain.units import NS_PER_H, NS_PER_MIN
from appliance.simulate.bench import VirtualBench

MIN = NS_PER_MIN


def inputs(now: int, slope: int | None = 0, before: int | None = None) -> Inputs:
    return Inputs(now, now if before is None else before, slope)


def free(rule: Rule, one: Inputs, *spans: Span, limit: int | None = None) -> Action:
    return decide(rule, limit, one, spans, suspended=False).action


def held(rule: Rule, one: Inputs, minutes: int, limit: int | None = None) -> Action:
    return decide(rule, limit, one, [Span(minutes * MIN)], suspended=True).action


@pytest.mark.parametrize(
    ("one", "action"),
    [
        (inputs(140, -120), Action.STAY),  # 80 in 30 min
        (inputs(139, -120), Action.SUSPEND),
        (inputs(139, -120, before=138), Action.STAY),  # it rises already
        (inputs(70, 0), Action.SUSPEND),  # 70 in 30 min
        (inputs(70, None), Action.STAY),  # no trend, and not under 70
        (inputs(69, None), Action.SUSPEND),
        (inputs(69, None, before=68), Action.STAY),
    ],
)
def test_predictive_suspends_under_80_in_30_min_or_under_70_now(
    one: Inputs, action: Action
) -> None:
    assert free(Rule.PREDICTIVE, one) is action


def test_predictive_resumes_when_glucose_rises_even_below_70_after_five_minutes() -> None:
    assert held(Rule.PREDICTIVE, inputs(60, -20, before=59), 4) is Action.STAY
    assert held(Rule.PREDICTIVE, inputs(60, -20, before=59), 5) is Action.RESUME
    assert held(Rule.PREDICTIVE, inputs(60, -20, before=60), 60) is Action.STAY


def test_predictive_has_two_hours_in_any_two_and_a_half() -> None:
    two = [Span(150 * MIN, 90 * MIN), Span(60 * MIN)]
    assert over_time(Rule.PREDICTIVE, two) == "2 h in the last 2.5 h are over"
    assert over_time(Rule.PREDICTIVE, [Span(150 * MIN, 91 * MIN), Span(60 * MIN)]) == ""
    spent = Span(130 * MIN, 10 * MIN)
    assert free(Rule.PREDICTIVE, inputs(60), spent) is Action.HELD
    assert free(Rule.PREDICTIVE, inputs(60), Span(151 * MIN, 30 * MIN)) is Action.HELD
    assert free(Rule.PREDICTIVE, inputs(60), Span(151 * MIN, 32 * MIN)) is Action.SUSPEND


@pytest.mark.parametrize(
    ("one", "action"),
    [
        (inputs(140, -100), Action.STAY),  # 90 in 30 min, over 60 + 20
        (inputs(130, -100), Action.SUSPEND),  # 80: at it, and 130 is 60 + 70
        (inputs(131, -200), Action.STAY),  # more than 70 above the limit
        (inputs(70, None), Action.STAY),
    ],
)
def test_before_low_suspends_within_its_two_bounds(one: Inputs, action: Action) -> None:
    assert free(Rule.BEFORE_LOW, one) is action


def test_before_low_resumes_above_both_of_its_bounds_after_half_an_hour() -> None:
    good = inputs(81, 38)  # 100 in 30 min
    assert held(Rule.BEFORE_LOW, good, 29) is Action.STAY
    assert held(Rule.BEFORE_LOW, good, 30) is Action.RESUME
    assert held(Rule.BEFORE_LOW, inputs(80, 60), 60) is Action.STAY
    assert held(Rule.BEFORE_LOW, inputs(81, 36), 60) is Action.STAY
    # The worked example of the guide: 21 above the limit, and 45 above it in 30 min.
    assert held(Rule.BEFORE_LOW, inputs(91, 48), 60, limit=70) is Action.RESUME
    assert free(Rule.BEFORE_LOW, inputs(60, -10), Span(60 * MIN, 29 * MIN)) is Action.HELD
    assert free(Rule.BEFORE_LOW, inputs(60, -10), Span(60 * MIN, 30 * MIN)) is Action.SUSPEND


def test_low_suspends_at_its_limit_for_two_hours_whatever_glucose_does() -> None:
    assert free(Rule.LOW, inputs(61, -200)) is Action.STAY
    assert free(Rule.LOW, inputs(60)) is Action.SUSPEND
    assert held(Rule.LOW, inputs(200, 100, before=100), 119) is Action.STAY
    assert over_time(Rule.LOW, [Span(2 * NS_PER_H)]) == "2 h are over"
    whole = Span(5 * NS_PER_H, 3 * NS_PER_H)
    assert free(Rule.LOW, inputs(50), whole) is Action.HELD
    assert free(Rule.LOW, inputs(50), Span(7 * NS_PER_H, 4 * NS_PER_H)) is Action.SUSPEND


def test_off_does_nothing() -> None:
    assert free(Rule.OFF, inputs(20, -300)) is Action.STAY


ages = st.lists(st.integers(0, 300), min_size=2, max_size=12, unique=True)


@given(ages)
def test_what_was_spent_is_what_the_minutes_add_up_to(minutes: list[int]) -> None:
    edges = sorted(minutes, reverse=True)[: len(minutes) // 2 * 2]
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    spans = [Span(began * MIN, ended * MIN) for began, ended in pairs]
    window = WINDOW_NS // MIN
    counted = sum(
        any(ended <= minute < began for began, ended in pairs) for minute in range(window)
    )
    assert spent_ns(spans) == counted * MIN


# --- on the virtual patient -----------------------------------------------------------------------


@dataclass
class Week:
    """What a week of one patient came to."""

    low_min: int
    suspended_min: int
    longest_min: int
    mean: float


def week(person: str, rule: Rule, seed: int, days: int = 7) -> Week:
    """Give a patient half as much basal again as it needs, and meals with too much insulin."""
    dice, one = Random(seed), PEOPLE[person]  # noqa: S311
    patient, sensor = Patient(one), Sensor(noise=0.5)
    basal = one.basal_mu_per_min() * 1.5
    readings: list[Reading] = []
    spans: list[list[int]] = []
    suspended = False
    low = total = 0
    day_meals = [(420, 40), (750, 60), (1_140, 70)]
    for minute in range(days * 1_440):
        now_ns = minute * MIN
        for at, carbs in day_meals:
            if minute % 1_440 == at:
                grams = carbs * dice.uniform(0.7, 1.1)
                patient.eat(grams)
                patient.infuse(basal * carbs * 1.2)
        if minute % 5 == 0:
            value = sensor.read(patient.interstitial_mg_dl, dice.gauss(0, 1))
            readings = [*readings, Reading(now_ns, value)][-4:]
            past = [Span(now_ns - began, now_ns - ended) for began, ended in spans if ended >= 0]
            if suspended:
                past.append(Span(now_ns - spans[-1][0]))
            before = readings[-2].mg_dl if len(readings) > 1 else None
            made = decide(
                rule,
                None,
                Inputs(value, before, slope_mg_dl_per_h(readings)),
                past,
                suspended=suspended,
            )
            if made.action is Action.SUSPEND:
                spans.append([now_ns, -1])
                suspended = True
            elif suspended and (made.action is Action.RESUME or over_time(rule, past)):
                spans[-1][1] = now_ns
                suspended = False
        patient.live(1, 0.0 if suspended else basal)
        low += patient.glucose_mg_dl < 70
        total += patient.glucose_mg_dl
    lengths = [(ended if ended >= 0 else days * 1_440 * MIN) - began for began, ended in spans]
    return Week(
        low,
        sum(lengths) // MIN,
        max(lengths, default=0) // MIN,
        total / (days * 1_440),
    )


@pytest.mark.parametrize("person", ["adult", "teenager", "resistant"])
def test_each_rule_set_spares_the_patient_minutes_under_70(person: str) -> None:
    without = week(person, Rule.OFF, seed=3)
    assert without.low_min > 120  # there is something to protect from
    assert without.suspended_min == 0
    for rule in (Rule.PREDICTIVE, Rule.BEFORE_LOW, Rule.LOW):
        found = week(person, rule, seed=3)
        assert found.low_min < without.low_min * 0.8, rule
        assert 0 < found.longest_min <= LONGEST_NS // MIN + 5, rule
        assert found.mean > without.mean, rule


# --- on a whole pump ------------------------------------------------------------------------------


@pytest.fixture
def pump() -> Iterator[VirtualBench]:
    """A whole pump whose supervision is slower, so that hours pass quickly."""
    one = VirtualBench(pace=50)
    yield one
    one.close()


def report(bench: VirtualBench, number: int, mg_dl: int) -> None:
    reading = {"id": f"r{number}", "mg_dl": mg_dl, "age_s": 0}
    bench.ask("glucose.report", source="test", readings=[reading])


def test_the_motor_stands_while_glucose_holds_basal_back_and_a_bolus_goes_out(
    pump: VirtualBench,
) -> None:
    bench = pump
    bench.ask("glucose.set", protection="predictive")
    for number, value in enumerate((140, 130, 115)):
        report(bench, number, value)
        bench.run(300)
    snapshot = bench.snapshot()
    assert snapshot["state"] == "running"
    assert snapshot["basal_uu_per_h"] == 0
    assert snapshot["glucose"]["protection"]["suspended"]
    before = bench.truth_steps
    bench.run(600)
    assert bench.truth_steps == before
    dose = bench.bolus("1")
    assert dose["outcome"] == "done"
    assert bench.truth_steps - before == dose["confirmed_steps"]
    report(bench, 8, 90)
    bench.run(300)
    report(bench, 9, 100)  # it rises
    bench.run(900)
    assert bench.snapshot()["basal_uu_per_h"] == 1_000_000
    assert bench.truth_steps > before + dose["confirmed_steps"]


def test_an_extended_bolus_ends_with_its_exact_part_when_glucose_suspends(
    pump: VirtualBench,
) -> None:
    bench = pump
    request_id = bench.start_bolus("2", extend="2", over_s=3_600)
    bench.run(600)
    bench.ask("glucose.set", protection="low", protection_limit_mg_dl=80)
    report(bench, 1, 75)
    bench.run(60)
    dose = bench.dose(request_id)
    assert (dose["outcome"], dose["certainty"]) == ("stopped", "exact")
    assert "suspended by glucose" in dose["why"]
    assert 0 < dose["confirmed_steps"] < dose["programmed_steps"]


def test_a_crash_in_a_suspension_comes_back_faulted_and_owes_nothing(bench: VirtualBench) -> None:
    bench.ask("glucose.set", protection="low", protection_limit_mg_dl=80)
    report(bench, 1, 75)
    bench.run(20)
    bench.kill_pump()
    bench.start_pump()
    bench.run(10)
    assert bench.snapshot()["state"] == "faulted"
    before = bench.truth_steps
    bench.ask("alarms.acknowledge", number=None)
    bench.ask("resume")
    bench.run(120)
    moved = bench.truth_steps - before
    assert 0 < moved <= bench.mechanics.steps_within(36_000)  # of two minutes, and no more
