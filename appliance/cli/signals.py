"""Verbs of light and sound: pause the sound, check lamps and buzzer, say when to warn."""

from __future__ import annotations

import sys
import threading

import click

from appliance.cli.session import DOSE, Exit, Session, end, print_json, say, with_dir, with_json
from appliance.client.messages import AlertsSetParams
from appliance.client.pump import PumpClient
from appliance.client.words import BENCH, format_dose

_MARGIN_S = 0.5
_QUESTION = "Did three lamps shine in turn (red, yellow, cyan), and did the buzzer sound?"


@click.command()
@with_dir
@click.pass_obj
def silence(session: Session) -> None:
    """Pause the sound for at most 120 s. Lamps go on; a new or higher alarm sounds at once."""
    with session.pump() as pump:
        left_s = pump.silence()
    click.echo(f"{BENCH}  the sound is paused, for {left_s} s more")


@click.command("check-signals")
@click.option("--yes", is_flag=True, help="Answer for nobody; so it is recorded.")
@with_dir
@click.pass_obj
def check_signals(session: Session, *, yes: bool) -> None:
    """Show every lamp and sound the buzzer, and ask whether they were seen and heard."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("in a pipe this needs --yes: there is nobody to ask")
    with session.pump() as pump:
        if not play_and_confirm(pump, yes=yes):
            end(Exit.REFUSED)
    click.echo(f"{BENCH}  light and sound are " + ("taken as good" if yes else "confirmed"))


def play_and_confirm(pump: PumpClient, *, yes: bool) -> bool:
    """Play the check and have it answered; return whether a new bolus may begin."""
    duration_s = pump.check_signals() / 1_000
    if yes:
        say("light and sound were played, and nobody looked: --yes answers for nobody")
    else:
        click.echo(f"{BENCH}  look and listen for {duration_s:.0f} s")
    threading.Event().wait(duration_s + _MARGIN_S)
    if yes:
        return pump.confirm_signals(seen=True, how="assumed")
    try:
        seen = click.confirm(_QUESTION, default=False)
    except click.Abort:
        click.echo(err=True)
        say("not answered: no new bolus begins")
        return False
    if not seen:
        say("no new bolus begins until a check has been seen and heard")
    return pump.confirm_signals(seen=seen, how="person")


@click.group()
def alerts() -> None:
    """When to warn: a reservoir that runs low, a pump that nobody uses."""


@alerts.command("show")
@with_dir
@with_json
@click.pass_obj
def alerts_show(session: Session, *, as_json: bool) -> None:
    """Show when the pump warns."""
    with session.pump() as pump:
        shown = pump.alerts()
    if as_json:
        print_json({"bench": True, "alerts": shown})
        return
    click.echo(f"{BENCH}  alerts")
    click.echo(f"  low reservoir    {format_dose(shown['low_reservoir_uu'])}")
    click.echo(f"  or hours left    {_or_off(shown['low_reservoir_h'])}")
    click.echo(f"  auto-off after   {_or_off(shown['auto_off_h'])}")


def _or_off(hours: int) -> str:
    return f"{hours} h" if hours else "off"


@alerts.command("set")
@click.option("--low", "low_reservoir_uu", type=DOSE, metavar="U", help="10 to 50 U.")
@click.option("--low-hours", "low_reservoir_h", type=int, metavar="H", help="1 to 72 h; 0 is off.")
@click.option("--auto-off", "auto_off_h", type=int, metavar="H", help="5 to 24 h; 0 is off.")
@with_dir
@click.pass_obj
def alerts_set(
    session: Session,
    *,
    low_reservoir_uu: int | None,
    low_reservoir_h: int | None,
    auto_off_h: int | None,
) -> None:
    """Set the alerts that are named; the others stay as they are."""
    wanted = AlertsSetParams.model_construct(
        low_reservoir_uu=low_reservoir_uu, low_reservoir_h=low_reservoir_h, auto_off_h=auto_off_h
    )
    if not any(one is not None for _, one in wanted):
        raise click.UsageError("name at least one alert, such as --low 30")
    with session.pump() as pump:
        pump.set_alerts(wanted)
    click.echo(f"{BENCH}  alerts set")
