"""Glucose: what the pump knows of it, a fingerstick, and its settings."""

from __future__ import annotations

from typing import Any

import click

from appliance.cli.session import Session, print_json, safe, with_dir, with_json
from appliance.client.errors import BadAmount, ProtocolFault
from appliance.client.messages import Glucose, GlucosePeriod, GlucoseSetParams
from appliance.client.words import (
    BENCH,
    format_glucose,
    in_words,
    parse_glucose,
    parse_minute,
    time_words,
)


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


@glucose.command("snooze")
@click.argument("minutes", type=click.IntRange(5, 240), default=30)
@with_dir
@click.pass_obj
def glucose_snooze(session: Session, minutes: int) -> None:
    """Answer the glucose alerts that stand for MINUTES (30 without it)."""
    with session.pump() as pump:
        count = pump.snooze_glucose(minutes)
    click.echo(f"{BENCH}  {count} snoozed for {minutes} min")


@glucose.command("resume")
@with_dir
@click.pass_obj
def glucose_resume(session: Session) -> None:
    """Have basal back that glucose has suspended; none is suspended for 30 min."""
    with session.pump() as pump:
        pump.resume_glucose()
    click.echo(f"{BENCH}  basal comes back")


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
    if shown.protection is not None and shown.protection.suspended:
        left = in_words(shown.protection.left_s or 0)
        parts.append(f"BASAL SUSPENDED by glucose, for {left} at most")
    return ", ".join(parts)


class PeriodType(click.ParamType[GlucosePeriod]):
    """Thresholds from a time of day on, such as "22:00 80-200"; 0 is off."""

    name = "period"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> GlucosePeriod:
        """Read the text, or end with what is allowed."""
        at, _, bounds = str(value).partition(" ")
        low, _, high = bounds.partition("-")
        try:
            start = parse_minute(at)
            return GlucosePeriod(
                start_min_of_day=start, low_mg_dl=_bound(low), high_mg_dl=_bound(high)
            )
        except (BadAmount, ProtocolFault, ValueError):
            text = f'{safe(str(value))[:40]!r} is no period such as "22:00 80-200"'
            self.fail(text, param, ctx)


def _bound(text: str) -> int:
    return 0 if text == "0" else parse_glucose(text)


@glucose.command("set")
@click.option("--units", type=click.Choice(["mg/dL", "mmol/L"]), help="What is shown.")
@click.option("--period", "periods", type=PeriodType(), multiple=True, help="22:00 80-200, 0 off.")
@click.option("--fast", "fast", type=click.Choice(["0", "2", "3"]), help="mg/dL a minute; 0 off.")
@click.option("--predicted", "predicted_min", type=int, metavar="MIN", help="10 to 30; 0 is off.")
@click.option("--lost/--no-lost", default=None, help="Alert where the signal is lost.")
@click.option(
    "--protection",
    type=click.Choice(["off", "low", "predictive", "before-low"]),
    help="Suspend basal at a low or before it.",
)
@click.option("--limit", "limit", type=GlucoseType(), help="The limit of low and before-low.")
@with_dir
@click.pass_obj
def glucose_set(
    session: Session,
    *,
    units: str | None,
    periods: tuple[GlucosePeriod, ...],
    fast: str | None,
    predicted_min: int | None,
    lost: bool | None,
    protection: str | None,
    limit: int | None,
) -> None:
    """Set what is named; the rest stays as it is. --period may stand several times.

    The first --period begins at 00:00, and together they replace what was there.
    """
    wanted = GlucoseSetParams.model_construct(
        units=units,
        periods=list(periods) or None,
        fast_mg_dl_per_min=None if fast is None else int(fast),
        predicted_min=predicted_min,
        lost=lost,
        protection=protection,
        protection_limit_mg_dl=limit,
    )
    if not any(one is not None for _, one in wanted):
        raise click.UsageError("name at least one setting, such as --units mmol/L")
    with session.pump() as pump:
        pump.set_glucose(wanted)
    click.echo(f"{BENCH}  glucose set")
