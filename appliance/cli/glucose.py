"""Glucose: what the pump knows of it, a fingerstick, and its settings."""

from __future__ import annotations

from typing import Any

import click

from appliance.cli.session import Session, print_json, safe, with_dir, with_json
from appliance.client.errors import BadAmount
from appliance.client.messages import Glucose, GlucoseSetParams
from appliance.client.words import BENCH, format_glucose, in_words, parse_glucose, time_words


class GlucoseType(click.ParamType[int]):
    """Whole mg/dL such as "142", or mmol/L with one decimal such as "7.9"."""

    name = "glucose"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the text, or end with what is allowed."""
        if isinstance(value, int):
            return value
        try:
            return parse_glucose(str(value))
        except BadAmount as error:
            self.fail(safe(str(error)), param, ctx)


class GlucoseGroup(click.Group):
    """Takes a value where a verb could stand: "glucose 142" is "glucose enter 142"."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a first word that begins with a digit is a fingerstick."""
        if args and args[0][:1].isdigit():
            args = ["enter", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=GlucoseGroup)
def glucose() -> None:
    """Glucose: "glucose 142" or "glucose 7.9" enters a fingerstick, "glucose show" shows it.

    A whole number is mg/dL, one with a decimal mmol/L.
    """


@glucose.command("enter")
@click.argument("mg_dl", metavar="VALUE", type=GlucoseType())
@click.option("--id", "reading_id", type=click.UUID, help="The same id is the same fingerstick.")
@with_dir
@with_json
@click.pass_obj
def glucose_enter(session: Session, mg_dl: int, reading_id: Any, *, as_json: bool) -> None:  # noqa: ANN401
    """Enter a fingerstick of now."""
    with session.pump() as pump:
        shown = pump.enter_glucose(mg_dl, None if reading_id is None else str(reading_id))
    if as_json:
        print_json({"bench": True, "glucose": dict(shown.raw)})
        return
    click.echo(f"{BENCH}  fingerstick of {format_glucose(mg_dl, shown.units)} entered")


@glucose.command("show")
@click.option("--readings", is_flag=True, help="Every reading of the last three hours too.")
@with_dir
@with_json
@click.pass_obj
def glucose_show(session: Session, *, readings: bool, as_json: bool) -> None:
    """Show glucose now, its trend and its age."""
    with session.pump() as pump:
        shown = pump.glucose()
    if as_json:
        print_json({"bench": True, **shown.raw})
        return
    click.echo(f"{BENCH}  glucose {safe(glucose_words(shown.glucose))}")
    for one in shown.readings if readings else ():
        words = format_glucose(one["mg_dl"], shown.glucose.units)
        click.echo(safe(f"  {time_words(one['utc_ns'])} UTC  {words:>12}  {one['source']}"))


def glucose_words(shown: Glucose) -> str:
    """Say glucose in one line: an old value never reads like one of now."""
    parts = []
    if shown.mg_dl is None:
        parts.append("not known: no sensor")
    else:
        age = in_words((shown.age_s or 0) // 60 * 60) if (shown.age_s or 0) >= 60 else "now"
        value = format_glucose(shown.mg_dl, shown.units)
        if shown.state == "ok":
            parts.append(f"{value} ({age})" if age == "now" else f"{value} ({age} ago)")
            parts.append(shown.arrow or "no trend")
        else:
            parts.append(f"{shown.state.upper()}: was {value} {age} ago")
        parts.append(f"by {shown.source}")
    if shown.finger is not None:
        ago = in_words(shown.finger.age_s // 60 * 60)
        parts.append(f"fingerstick {format_glucose(shown.finger.mg_dl, shown.units)} {ago} ago")
    return ", ".join(parts)


@glucose.command("set")
@click.option("--units", type=click.Choice(["mg/dL", "mmol/L"]), help="What is shown.")
@with_dir
@click.pass_obj
def glucose_set(session: Session, *, units: str | None) -> None:
    """Set what is named; the rest stays as it is."""
    wanted = GlucoseSetParams.model_construct(units=units)
    if not any(one is not None for _, one in wanted):
        raise click.UsageError("name at least one setting, such as --units mmol/L")
    with session.pump() as pump:
        pump.set_glucose(wanted)
    click.echo(f"{BENCH}  glucose set")
