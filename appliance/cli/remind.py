"""Verbs of the reminders: after a bolus, at meals, for the site, by the time of day."""

from __future__ import annotations

import click

from appliance.cli.session import Session, print_json, safe, with_dir, with_json
from appliance.client.errors import ProtocolFault
from appliance.client.messages import MealWindow, PersonalReminder, RemindersSetParams
from appliance.client.words import BENCH, minute_words, parse_minute

_NAME_CHARS = 40


class TimeOfDay(click.ParamType[int]):
    """A time of day such as 07:30, as minutes."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the text, or end with what is allowed."""
        try:
            return value if isinstance(value, int) else parse_minute(str(value))
        except (ValueError, ProtocolFault) as error:
            self.fail(safe(str(error)), param, ctx)


class Window(click.ParamType[MealWindow]):
    """Two times of day such as 07:00-09:00."""

    name = "window"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> MealWindow:
        """Read the text, or end with what is allowed."""
        if isinstance(value, MealWindow):
            return value
        start, _, end = str(value).partition("-")
        return MealWindow(
            from_min=TIME.convert(start, param, ctx), to_min=TIME.convert(end, param, ctx)
        )


class Personal(click.ParamType[PersonalReminder]):
    """A time of day and words, such as "07:30 walk"."""

    name = "reminder"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> PersonalReminder:
        """Read the text, or end with what is allowed."""
        if isinstance(value, PersonalReminder):
            return value
        at, _, name = str(value).partition(" ")
        if not 1 <= len(name.strip()) <= _NAME_CHARS or not name.isprintable():
            self.fail("not a time and 1 to 40 characters, such as '07:30 walk'", param, ctx)
        return PersonalReminder(at_min=TIME.convert(at, param, ctx), name=name.strip())


TIME = TimeOfDay()


@click.group()
def remind() -> None:
    """Reminders: after a bolus, at meals, for the site, by the time of day."""


@remind.command("show")
@with_dir
@with_json
@click.pass_obj
def remind_show(session: Session, *, as_json: bool) -> None:
    """Show what the pump reminds of."""
    with session.pump() as pump:
        shown = pump.reminders()
    if as_json:
        print_json({"bench": True, "reminders": shown})
        return
    after, days = shown["glucose_min"], shown["site_days"]
    at = minute_words(shown["site_at_min"])
    click.echo(f"{BENCH}  reminders")
    click.echo(f"  glucose   {f'{after} min after a bolus' if after else 'off'}")
    click.echo(f"  site      {f'after {days} days, at {at}' if days else 'off'}")
    for one in shown["meals"]:
        click.echo(f"  meal      {minute_words(one['from_min'])}-{minute_words(one['to_min'])}")
    for one in shown["personal"]:
        click.echo(safe(f"  personal  {minute_words(one['at_min'])} {one['name']}"))


@remind.command("set")
@click.option("--glucose", "glucose_min", type=int, metavar="MIN", help="30 to 240; 0 is off.")
@click.option("--site", "site_days", type=int, metavar="DAYS", help="1 to 7; 0 is off.")
@click.option("--site-at", "site_at_min", type=TIME, metavar="HH:MM", help="At this time of day.")
@click.option("--meal", "meals", type=Window(), multiple=True, metavar="HH:MM-HH:MM", help="To 4.")
@click.option("--at", "personal", type=Personal(), multiple=True, metavar="TEXT", help="To 8.")
@click.option("--no-meals", is_flag=True, help="Forget every meal window.")
@click.option("--no-personal", is_flag=True, help="Forget every personal reminder.")
@with_dir
@click.pass_obj
def remind_set(
    session: Session,
    *,
    glucose_min: int | None,
    site_days: int | None,
    site_at_min: int | None,
    meals: tuple[MealWindow, ...],
    personal: tuple[PersonalReminder, ...],
    no_meals: bool,
    no_personal: bool,
) -> None:
    """Set the reminders that are named.

    --meal 07:00-09:00 and --at '07:30 walk' may stand several times, and replace what was there.
    """
    wanted = RemindersSetParams.model_construct(
        glucose_min=glucose_min,
        site_days=site_days,
        site_at_min=site_at_min,
        meals=list(meals) if meals or no_meals else None,
        personal=list(personal) if personal or no_personal else None,
    )
    if not any(one is not None for _, one in wanted):
        raise click.UsageError("name at least one reminder, such as --glucose 90")
    with session.pump() as pump:
        pump.set_reminders(wanted)
    click.echo(f"{BENCH}  reminders set")


@remind.command("snooze")
@click.argument("minutes", type=click.IntRange(5, 240), default=15)
@with_dir
@click.pass_obj
def remind_snooze(session: Session, minutes: int) -> None:
    """Have the reminders that stand come again in MINUTES (15 without it)."""
    with session.pump() as pump:
        count = pump.snooze(minutes)
    click.echo(f"{BENCH}  {count} snoozed for {minutes} min")
