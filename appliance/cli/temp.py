"""Temporary basal, and the step of a quick bolus."""

from __future__ import annotations

from typing import Any

import click

from appliance.cli.reading import temp_words
from appliance.cli.session import (
    AGO,
    DOSE,
    Session,
    print_json,
    safe,
    say,
    with_dir,
    with_json,
)
from appliance.client.errors import BadAmount
from appliance.client.messages import Temp, TempKind, TempStarted
from appliance.client.words import BENCH, format_dose, format_rate, in_words, parse_rate


class TempType(click.ParamType[tuple[TempKind, int]]):
    """A percentage such as "150%", or a rate in U/h such as "0.8"."""

    name = "temp"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[TempKind, int]:
        """Read the text, or end with what is allowed."""
        text = str(value)
        percent = text.removesuffix("%")
        if percent != text:
            if not (percent.isascii() and percent.isdigit() and len(percent) <= 3):
                self.fail(f'{safe(text)!r} is not a percentage such as "150%"', param, ctx)
            return "percent", int(percent)
        try:
            return "rate", parse_rate(text)
        except BadAmount as error:
            self.fail(safe(f'{error}; or a percentage such as "150%"'), param, ctx)


class TempGroup(click.Group):
    """Takes a value where a verb could stand: "temp 150%" is "temp start 150%"."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a first word that begins with a digit is the value of ``start``."""
        if args and args[0][:1].isdigit():
            args = ["start", *args]
        return super().resolve_command(ctx, args)


VALUE = TempType()
FOR = click.option(
    "--for",
    "duration_s",
    type=AGO,
    required=True,
    metavar="TIME",
    help='How long: "15m" to "24h", "1h30m".',
)


@click.group(cls=TempGroup)
def temp() -> None:
    """Temporary basal: "temp 150% --for 2h", "temp 0.8 --for 30m", "temp cancel".

    A percentage follows the profile; a rate in U/h does not. Either is held down by the basal
    limit. A new one takes the place of the old one; at its end the profile returns.
    """


@temp.command("start")
@click.argument("value", type=VALUE)
@FOR
@with_dir
@with_json
@click.pass_obj
def temp_start(
    session: Session, value: tuple[TempKind, int], duration_s: int, *, as_json: bool
) -> None:
    """Give VALUE from now on: a percentage such as 150%, or a rate in U/h such as 0.8."""
    with session.pump() as pump:
        _say_started(pump.start_temp(value[0], value[1], duration_s), as_json=as_json)


def _say_started(started: TempStarted, *, as_json: bool) -> None:
    if as_json:
        print_json({"bench": True, **started.raw})
        return
    for notice in started.notices:
        say(notice)
    shown = "begun" if started.temp is None else temp_words(started.temp)
    click.echo(safe(f"{BENCH}  temporary basal {shown}"))


@temp.command("cancel")
@with_dir
@click.pass_obj
def temp_cancel(session: Session) -> None:
    """End it: the profile returns."""
    with session.pump() as pump:
        pump.cancel_temp()
    click.echo(f"{BENCH}  the profile returns")


@temp.command("presets")
@with_dir
@with_json
@click.pass_obj
def temp_presets(session: Session, *, as_json: bool) -> None:
    """Show the temporary basals that are kept by name."""
    with session.pump() as pump:
        shown = pump.temp_presets()
    if as_json:
        print_json({"bench": True, **shown.raw})
        return
    click.echo(f"{BENCH}  {len(shown.presets) or 'no'} preset{'s'[: len(shown.presets) != 1]}")
    for name, preset in shown.presets.items():
        click.echo(safe(f"  {name:<22}{_preset_words(preset)}"))


def _preset_words(preset: Temp) -> str:
    value = f"{preset.value} %" if preset.kind == "percent" else format_rate(preset.value)
    return f"{value} for {in_words(preset.duration_s)}"


@temp.command("use")
@click.argument("name")
@with_dir
@with_json
@click.pass_obj
def temp_use(session: Session, name: str, *, as_json: bool) -> None:
    """Give the temporary basal that is kept under NAME."""
    with session.pump() as pump:
        _say_started(pump.use_temp(name), as_json=as_json)


@temp.command("save")
@click.argument("name")
@click.argument("value", type=VALUE)
@FOR
@with_dir
@click.pass_obj
def temp_save(session: Session, name: str, value: tuple[TempKind, int], duration_s: int) -> None:
    """Keep VALUE for a time under NAME; one of that name goes."""
    with session.pump() as pump:
        pump.save_temp(name, value[0], value[1], duration_s)
    click.echo(safe(f"{BENCH}  kept {name}"))


@temp.command("delete")
@click.argument("name")
@with_dir
@click.pass_obj
def temp_delete(session: Session, name: str) -> None:
    """Forget the temporary basal that is kept under NAME."""
    with session.pump() as pump:
        pump.delete_temp(name)
    click.echo(safe(f"{BENCH}  forgot {name}"))


@click.group()
def quick() -> None:
    """The step of a quick bolus: "bolus --quick 3" gives three of them."""


@quick.command("show")
@with_dir
@with_json
@click.pass_obj
def quick_show(session: Session, *, as_json: bool) -> None:
    """Show how much one step is."""
    with session.pump() as pump:
        step_uu = pump.quick_step_uu()
    body: dict[str, Any] = {"bench": True, "step_uu": step_uu}
    if as_json:
        print_json(body)
    else:
        shown = "no step is set" if step_uu is None else f"a step is {format_dose(step_uu)}"
        click.echo(f"{BENCH}  {shown}")


@quick.command("set")
@click.argument("step_uu", metavar="AMOUNT", type=DOSE)
@with_dir
@click.pass_obj
def quick_set(session: Session, step_uu: int) -> None:
    """Let one step be AMOUNT units, 0.05 to 5."""
    with session.pump() as pump:
        pump.set_quick_step(step_uu)
    click.echo(f"{BENCH}  a step is {format_dose(step_uu)}")
