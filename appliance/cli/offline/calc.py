"""``pumpctl calc``: the bolus calculator, and how others would answer. It never starts a dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import click

from appliance.cli.offline.numbers import (
    GRAMS,
    MG_DL,
    MG_DL_SIGNED,
    RATIO,
    UNITS,
    UNITS_PER_H,
    UNITS_SIGNED,
)
from appliance.cli.offline.pump_values import NEEDED, values_of_pump
from appliance.cli.session import (
    AGO,
    Exit,
    Session,
    end,
    print_json,
    safe,
    say,
    with_dir,
    with_json,
)
from appliance.client.errors import NoPump
from appliance.client.words import BENCH, UU_PER_U, format_dose
from appliance.domain.calculator import CORRECTION, FOOD, FORECAST, IOB, TREND, Inputs, Sum
from appliance.domain.calculators import CALCULATORS

_DIGITS = 6


@click.command("calc")
@click.option("--carbs", "carbs_g", type=GRAMS, metavar="G", help="Food, in grams of carbs.")
@click.option("--glucose", "glucose_mg_dl", type=MG_DL, metavar="MG/DL", help="Glucose now.")
@click.option(
    "--glucose-age",
    "glucose_age_s",
    type=AGO,
    metavar="AGO",
    default="0m",
    help='How old the glucose is, such as "4m": over 15 min it is refused.  [default: now]',
)
@click.option(
    "--trend",
    "trend_mg_dl_per_5_min",
    type=MG_DL_SIGNED,
    metavar="MG/DL",
    default="0",
    help="Change of glucose in 5 min, such as 5 or -10.  [default: none]",
)
@click.option("--ratio", "ratio_mg_per_u", type=RATIO, metavar="G/U", help="Carb ratio.")
@click.option(
    "--sensitivity",
    "sensitivity_mg_dl_per_u",
    type=MG_DL,
    metavar="MG/DL",
    help="How far a unit lowers glucose.",
)
@click.option("--target", "target_mg_dl", type=MG_DL, metavar="MG/DL", help="Glucose to aim at.")
@click.option("--iob", "bolus_iob_uu", type=UNITS, metavar="U", help="Boluses still to act.")
@click.option(
    "--basal-iob",
    "basal_iob_uu",
    type=UNITS_SIGNED,
    metavar="U",
    help="Basal still to act, beyond the schedule (below 0: withheld).  [default: 0]",
)
@click.option(
    "--meal-iob",
    "meal_iob_uu",
    type=UNITS,
    metavar="U",
    default="0",
    help="The part of --iob that was given for food (omnipod).  [default: 0]",
)
@click.option(
    "--low",
    "low_mg_dl",
    type=MG_DL,
    metavar="MG/DL",
    help="Low end of the range (medtronic, loop, oref0, aaps, nightscout).  [default: the target]",
)
@click.option(
    "--high",
    "high_mg_dl",
    type=MG_DL,
    metavar="MG/DL",
    help="High end of the range; omnipod corrects above it.  [default: the target]",
)
@click.option(
    "--basal",
    "basal_uu_per_h",
    type=UNITS_PER_H,
    metavar="U/H",
    help="Scheduled basal rate, for hints of a temporary one (oref0, nightscout).",
)
@click.option(
    "--max-iob", "max_iob_uu", type=UNITS, metavar="U", help="Most insulin on board (oref0)."
)
@click.option("--max-bolus", "max_bolus_uu", type=UNITS, metavar="U", help="Most at once (loop).")
@click.option(
    "--reverse/--no-reverse",
    default=True,
    help="Whether a glucose below the target takes off from food (benchpump, omnipod).",
)
@click.option("--pump", "name", type=click.Choice(list(CALCULATORS)), help="Another calculator.")
@click.option("--compare", is_flag=True, help="All calculators side by side.")
@with_dir
@with_json
@click.pass_obj
def calc(
    session: Session,
    /,
    *,
    name: str | None,
    compare: bool,
    reverse: bool,
    as_json: bool,
    **given: int | None,
) -> None:
    """Propose a dose for food and glucose, with every line of its sum; starts nothing.

    Needs no pump when --ratio, --sensitivity, --target and --iob are given; what of these is not
    comes from the pump: the segment of its profile that is in force, and its insulin on board.

    Ends with 0, with 1 where the calculator refuses (an old glucose, a number out of its range).
    """
    if compare and name is not None:
        raise click.UsageError("--compare or --pump, not both")
    if given["carbs_g"] is None and given["glucose_mg_dl"] is None:
        raise click.UsageError("give --carbs, --glucose or both")
    asked = _completed(session, {key: raw for key, raw in given.items() if raw is not None})
    inputs = Inputs(reverse=reverse, **asked)
    if compare:
        sums = {one: compute(inputs) for one, compute in CALCULATORS.items()}
        if as_json:
            told = {one: sum_json(found) for one, found in sums.items()}
            print_json({"bench": True, "inputs": asdict(inputs), "calculators": told})
        else:
            click.echo(safe_lines([*_inputs_lines(inputs), *compare_lines(sums)]))
        return
    found = CALCULATORS[name or "benchpump"](inputs)
    if as_json:
        print_json({"bench": True, **sum_json(found), "inputs": asdict(inputs)})
    else:
        click.echo(safe_lines(sum_lines(found)))
    end(Exit.REFUSED if found.refused else Exit.DONE)


def _completed(session: Session, given: dict[str, int]) -> dict[str, int]:
    """Add what is missing from the pump; end where neither says it, naming all of it at once."""
    missing = [key for key in NEEDED if key not in given]
    if not missing:
        return given
    try:
        known = values_of_pump(session)
    except NoPump:
        say(f"{_listed(missing)} missing and no pump answers")
        raise
    nowhere = [key for key in missing if key not in known]
    if nowhere:
        say(f"refused: {_listed(nowhere)} missing and the pump has no value")
        end(Exit.REFUSED)
    say("from the pump: " + ", ".join(f"{key} = {known[key]}" for key in missing))
    if "bolus_iob_uu" in given:  # half of what is on board from each would be neither
        known.pop("basal_iob_uu", None)
    return known | given


def _listed(keys: Sequence[str]) -> str:
    flags = [NEEDED[key] for key in keys]
    if len(flags) == 1:
        return f"{flags[0]} is"
    return f"{', '.join(flags[:-1])} and {flags[-1]} are"


# --- JSON -----------------------------------------------------------------------------------------


def sum_json(found: Sum) -> dict[str, Any]:
    """Return a sum for a script: amounts in U, as numbers with at most six decimals.

    A part is null where the calculator has no such part; all are where it refuses.
    """
    looks_ahead = any(line.name == FORECAST for line in found.lines)
    parts: dict[str, Any] = {"calculator": found.calculator}
    for key, name, sign in (
        ("food_u", FOOD, 1),
        ("correction_u", CORRECTION, 1),
        ("trend_u", TREND, 1),
        ("iob_u", IOB, -1),
    ):
        parts[key] = None if found.refused or looks_ahead else units(sign * found.of(name))
    parts["total_u"] = None if found.refused else units(Fraction(found.total_uu))
    parts["total_uu"] = None if found.refused else found.total_uu
    parts["carbs_needed_g"] = found.carbs_needed_g
    parts["lines"] = [
        {"name": line.name, "amount_u": units(line.amount_uu), "text": line.text}
        for line in found.lines
    ]
    parts["notes"] = list(found.notes)
    parts["refused"] = found.refused or None
    return parts


def units(amount_uu: Fraction) -> float:
    """Return units as JSON's number: the float next to the nearest whole microunit."""
    return round(amount_uu) / UU_PER_U


# --- for people -----------------------------------------------------------------------------------


def sum_lines(found: Sum) -> list[str]:
    """Say a sum, a line for each of its own."""
    if found.refused:
        return [f"{BENCH}  {found.calculator} refuses: {found.refused}"]
    lines = [
        f"{BENCH}  {found.calculator} proposes {format_dose(found.total_uu)}; nothing is started"
    ]
    lines += [
        f"  {line.name:<14}{_signed(line.amount_uu):>9} U   {line.text}" for line in found.lines
    ]
    lines += [f"  {'total':<14}{_signed(Fraction(found.total_uu)):>9} U"]
    if found.carbs_needed_g:
        lines.append(f"  carbs needed  {found.carbs_needed_g:>9} g")
    return lines + [f"  note: {note}" for note in found.notes]


def _inputs_lines(inputs: Inputs) -> list[str]:
    glucose = "no glucose" if inputs.glucose_mg_dl is None else f"{inputs.glucose_mg_dl} mg/dL"
    return [
        f"{BENCH}  {inputs.carbs_g} g, {glucose}, on board {units(Fraction(inputs.iob_uu)):.2f} U; "
        "every calculator from the same inputs, nothing is started"
    ]


_COLUMNS = (FOOD, CORRECTION, TREND, IOB, FORECAST)


def compare_lines(sums: Mapping[str, Sum]) -> list[str]:
    """Set the sums side by side, and say below what each leaves open."""
    heads = "".join(f"{name:>12}" for name in (*_COLUMNS, "other", "total"))
    lines = [f"  {'':<12}{heads}"]
    for name, found in sums.items():
        if found.refused:
            lines.append(f"  {name:<12}  refuses: {found.refused}")
            continue
        cells = [_cell(found, column) for column in _COLUMNS]
        other = [line.amount_uu for line in found.lines if line.name not in _COLUMNS]
        cells.append(_signed(sum(other, Fraction(0))) if other else "")
        cells.append(_signed(Fraction(found.total_uu)))
        needs = f"  needs {found.carbs_needed_g} g" if found.carbs_needed_g else ""
        lines.append(f"  {name:<12}" + "".join(f"{cell:>12}" for cell in cells) + needs)
    for name, found in sums.items():
        ahead = [line.text for line in found.lines if line.name == FORECAST]
        lines += [f"  {name}: {told}" for told in (*ahead, *found.notes)]
    return lines


def _cell(found: Sum, name: str) -> str:
    if all(line.name != name for line in found.lines):
        return ""
    return _signed(found.of(name))


def _signed(amount_uu: Fraction) -> str:
    return f"{units(amount_uu):.3f}"


def safe_lines(lines: Sequence[str]) -> str:
    """Join lines for a terminal, each made harmless."""
    return "\n".join(safe(line) for line in lines)
