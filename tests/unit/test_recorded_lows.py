"""Protection on recorded lows: what docs/protection.md says is what the recordings come to."""

import importlib.util
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.domain.protection import LONGEST_NS, Rule
from appliance.domain.units import NS_PER_MIN, NS_PER_S
from appliance.keeper.sources.replay import read_readings
from appliance.simulate.bench import VirtualBench

_SPEC = importlib.util.spec_from_file_location(
    "recorded_lows", Path(__file__).parents[2] / "tools/recorded_lows.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
tool = sys.modules.setdefault("recorded_lows", importlib.util.module_from_spec(_SPEC))
_SPEC.loader.exec_module(tool)

PATIENTS = sorted(tool.PATIENTS)
RULES = [Rule.LOW, Rule.PREDICTIVE, Rule.BEFORE_LOW]


def recording(person: str) -> list[tool.Slot]:
    return tool.read_recording(tool.SAMPLES / f"lows-{person}.csv")


@pytest.mark.parametrize("person", PATIENTS)
def test_a_recording_is_whole_has_lows_and_is_one_that_the_pump_replays(person: str) -> None:
    slots = recording(person)
    steps = {two.at_ns - one.at_ns for one, two in pairwise(slots)}
    assert steps == {5 * NS_PER_MIN}
    assert len(slots) >= tool.DAYS * 288 - 2
    assert sum(slot.mg_dl < 70 for slot in slots) * 5 >= 120  # there is something to protect from
    text = (tool.SAMPLES / f"lows-{person}.csv").read_text()
    assert read_readings(text, person) == [(slot.at_ns, slot.mg_dl) for slot in slots]


@pytest.mark.parametrize("person", PATIENTS)
def test_each_rule_set_spares_minutes_under_70_on_a_recording_and_when_it_is_lived_again(
    person: str,
) -> None:
    slots, scenario = recording(person), tool.unprotected(person)
    sensitivity = tool.patient_of(scenario).sensitivity_mg_dl_per_u
    without = tool.replayed(slots, Rule.OFF, sensitivity)
    recorded = [slot.mg_dl for begin, end in tool.lows_of(slots) for slot in slots[begin:end]]
    assert without.values == recorded
    assert without.low_min == 5 * sum(slot.mg_dl < 70 for slot in slots)  # no low is left out
    lived = tool.lived_again(slots, Rule.OFF, scenario)
    # The same life, but for insulin that is spread over five minutes here and stepped there.
    assert lived.low_min == pytest.approx(without.low_min, rel=0.03)
    for rule in RULES:
        share = 1.0 if rule is Rule.LOW else 0.5
        for found, before in (
            (tool.replayed(slots, rule, sensitivity), without),
            (tool.lived_again(slots, rule, scenario), lived),
        ):
            assert found.low_min < share * before.low_min, rule
            assert found.mean > before.mean, rule
            longest_ns = max(ended - began for began, ended in found.spans)
            assert 0 < longest_ns <= LONGEST_NS + 5 * NS_PER_MIN, rule


def test_the_page_says_what_the_recordings_come_to() -> None:
    page = tool.PAGE.read_text(encoding="utf-8")
    assert tool.with_table(page) == page, "run tools/recorded_lows.py"


def test_what_was_held_back_has_acted_whole_after_six_hours() -> None:
    values = [60] * 26 + [100] * 80
    slots = [tool.Slot(n * 5 * NS_PER_MIN, mg, 1_200_000, 0) for n, mg in enumerate(values)]
    found = tool.replayed_low(slots, Rule.LOW, 50)
    assert found.held_min == 120
    assert found.values[-1] == 100 + 2 * 1.2 * 50


# --- the pump itself ------------------------------------------------------------------------------


@pytest.fixture
def pump() -> Iterator[VirtualBench]:
    """A whole pump whose supervision is slower, so that hours pass quickly."""
    one = VirtualBench(pace=50)
    yield one
    one.close()


@pytest.mark.parametrize("rule", RULES)
def test_a_whole_pump_decides_on_a_recorded_low_as_the_replay_does(
    pump: VirtualBench, rule: Rule
) -> None:
    slots = recording("adult")
    low = next(n for n, slot in enumerate(slots) if slot.mg_dl < 60)
    slots = slots[low - 12 : low + 18]
    watch = tool.Watch(rule)
    pump.ask("glucose.set", protection=rule.value)
    states = []
    for number, slot in enumerate(slots):
        expected = watch.hear(slot.at_ns, slot.mg_dl)
        reading = {"id": f"r{number}", "mg_dl": slot.mg_dl, "age_s": 0}
        pump.ask("glucose.report", source="recording", readings=[reading])
        pump.run(2)
        states.append((expected, pump.snapshot()["glucose"]["protection"]["suspended"]))
        pump.run(5 * NS_PER_MIN / NS_PER_S - 2)
    assert [told for told, _ in states] == [done for _, done in states]
    assert {told for told, _ in states} == {True, False}
