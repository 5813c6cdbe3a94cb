"""Verbs that sum up: by local day, and over several of them."""

from __future__ import annotations

import click

from appliance.cli.session import Session, print_csv, print_json, with_dir, with_json
from appliance.client.messages import DaySums, GlucoseSums, Summary
from appliance.client.words import BENCH, format_dose

_DAYS = click.IntRange(1, 366)
_COLUMNS = (
    *("date", "length_s", "basal_uu", "bolus_uu", "correction_uu", "total_uu", "prime_uu"),
    *("cannula_uu", "boluses", "uncertain", "alarms", "changes"),
)
_GLUCOSE = (
    *("readings", "covered", "mean_mg_dl", "sd_mg_dl", "cv", "gmi", "lbgi", "hbgi", "under_54"),
    *("from_54_to_69", "from_70_to_180", "from_181_to_250", "over_250", "tight_70_to_140"),
)


@click.command()
@click.option("--days", "count", type=_DAYS, default=14, show_default=True, help="How many.")
@click.option("--until", metavar="DATE", help="The last one, such as 2026-11-26.  [default: today]")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
@with_dir
@with_json
@click.pass_obj
def days(session: Session, *, count: int, until: str | None, as_json: bool, as_csv: bool) -> None:
    """Show what each local day had: insulin and glucose, newest first.

    The pump-keeper answers. Amounts are confirmed; priming is no dose.
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    with session.keeper() as keeper:
        found = keeper.days(count, until)
    if as_json:
        print_json({"bench": True, "days": [dict(one.raw) for one in found]})
        return
    if as_csv:
        rows = [{**one.raw, **(one.glucose.raw if one.glucose else {})} for one in found]
        print_csv((*_COLUMNS, *_GLUCOSE), rows)
        return
    click.echo(f"{BENCH}  {len(found) or 'no'} day{'' if len(found) == 1 else 's'}, newest first")
    for one in found:
        click.echo("  " + day_line(one))


def day_line(one: DaySums) -> str:
    """Say one day in one line."""
    hours = "" if one.length_s == 86_400 else f" ({one.length_s // 3_600} h)"
    parts = [f"{one.date}{hours}", f"total {format_dose(one.total_uu)}"]
    parts.append(f"basal {format_dose(one.basal_uu)}, boluses {format_dose(one.bolus_uu)}")
    if one.uncertain:
        parts.append(f"{one.uncertain} uncertain")
    if one.glucose is not None:
        share = one.glucose.from_70_to_180
        parts.append(f"glucose {one.glucose.mean_mg_dl:.0f} mg/dL, {share:.0f} % in 70 to 180")
    return "  ".join(parts)


@click.command()
@click.option("--days", "count", type=_DAYS, default=14, show_default=True, help="Over how many.")
@click.option("--until", metavar="DATE", help="The last one, such as 2026-11-26.  [default: today]")
@with_dir
@with_json
@click.pass_obj
def summary(session: Session, *, count: int, until: str | None, as_json: bool) -> None:
    """Sum up several local days: insulin, glucose by the consensus, and whether it adds up."""
    with session.keeper() as keeper:
        found, sums = keeper.summary(count, until), keeper.conservation()
    if as_json:
        print_json({"bench": True, **found.raw, "conservation": sums})
        return
    for line in summary_lines(found):
        click.echo(line)
    error = sums.get("error_steps")
    click.echo(
        f"  adds up         {sums.get('by_doses_steps')} steps by doses, "
        f"{sums.get('by_leases_steps')} by leases: off by {error}"
    )


def summary_lines(found: Summary) -> list[str]:
    """Say a summary, a line each."""
    lines = [f"{BENCH}  {found.from_date} to {found.until_date}"]

    def row(label: str, text: str) -> None:
        lines.append(f"  {label:<15} {text}")

    row("total", f"{format_dose(found.total_uu)} in {found.days_with_delivery} days")
    if found.mean_day_uu is not None and found.basal_share is not None:
        row("a day's mean", f"{format_dose(found.mean_day_uu)}, {found.basal_share:.0f} % basal")
    row("basal", format_dose(found.basal_uu))
    row("boluses", f"{format_dose(found.bolus_uu)}, {found.boluses} of them")
    row("corrections", format_dose(found.correction_uu))
    row("primed", f"{format_dose(found.prime_uu)}, cannula {format_dose(found.cannula_uu)}")
    row("uncertain", f"{found.uncertain} doses")
    if found.glucose is None:
        row("glucose", "no readings")
        return lines
    return lines + [f"  {label:<15} {text}" for label, text in glucose_rows(found.glucose)]


def glucose_rows(one: GlucoseSums) -> list[tuple[str, str]]:
    """Return the statistics as label and text."""
    enough = "enough" if one.enough else "too little to judge by (14 days, 70 %)"
    cv = "?" if one.cv is None else f"{one.cv:.1f} %"
    return [
        ("glucose", f"{one.readings} readings, {one.covered:.0f} % of the time: {enough}"),
        ("mean", f"{one.mean_mg_dl:.0f} mg/dL, GMI {one.gmi:.1f} %, CV {cv}"),
        ("in 70 to 180", f"{one.from_70_to_180:.1f} %, {one.tight_70_to_140:.1f} % in 70 to 140"),
        ("below", f"{one.from_54_to_69:.1f} % in 54 to 69, {one.under_54:.1f} % under 54"),
        ("above", f"{one.from_181_to_250:.1f} % in 181 to 250, {one.over_250:.1f} % over 250"),
        ("risk", f"LBGI {one.lbgi:.1f}, HBGI {one.hbgi:.1f}"),
    ]
