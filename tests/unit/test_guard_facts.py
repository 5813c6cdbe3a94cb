"""What the guard is started with: the facts of the one configuration, and nothing that reads it."""

import subprocess
import sys
from pathlib import Path

import pytest

from appliance.guard.__main__ import budgets
from appliance.guard.facts import facts_from
from appliance.guard.reading import read_facts

EXAMPLE = Path(__file__).parents[2] / "docs" / "benchpump.example.toml"


def test_the_facts_are_the_same_after_their_way_through_a_command_line() -> None:
    facts = read_facts(EXAMPLE)
    assert facts_from(facts.text()) == facts


def test_a_line_that_the_configuration_declares_away_is_no_fact(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    assert read_facts(EXAMPLE).readback is not None
    for old, new in (
        ('readback = "required"', 'readback = "none"'),
        ("stop_button = true", "stop_button = false"),
        ('one_shot = "present"', 'one_shot = "none"'),
    ):
        assert text.count(f"\n{old}") == 1
        text = text.replace(f"\n{old}", f"\n{new}")
    path = tmp_path / "weaker.toml"
    path.write_text(text)
    facts = read_facts(path)
    assert (facts.readback, facts.stop_button_n, facts.one_shot) == (None, None, False)


@pytest.mark.parametrize("text", ["{}", "[]", '{"zone": "UTC"}', "null"])
def test_half_the_facts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--config"):
        facts_from(text)


def test_sr_16_the_guards_hourly_budget_is_one_and_a_half_times_the_ceiling() -> None:
    facts = read_facts(EXAMPLE)
    # 3,200 microsteps of the example's mechanics move a plunger of 8.66 mm by 1 mm: 5.890141 U.
    asked_uu = facts.hourly_uu * 3 // 2
    assert budgets(facts).dose_steps == asked_uu * 3_200 // 5_890_141 + 1


def test_what_is_locked_in_memory_holds_no_reader_of_configurations() -> None:
    look = (
        "import sys, {}; "
        "print([one for one in ('pydantic', 'tomllib', 'sqlite3', 'asyncio', 'apscheduler')"
        " if one in sys.modules])"
    )
    for program in ("appliance.guard.__main__", "appliance.stepper.__main__"):
        said = subprocess.run(
            [sys.executable, "-c", look.format(program)], capture_output=True, text=True, check=True
        )
        assert said.stdout == "[]\n", program
