"""Verbs that change something, other than a bolus."""

from __future__ import annotations

import threading

import click

from appliance.cli.reading import dose_line
from appliance.cli.session import (
    DOSE,
    RATE,
    RESERVOIR,
    Exit,
    Session,
    end,
    print_json,
    safe,
    with_dir,
    with_json,
)
from appliance.client.messages import Dose, Limits, LimitsShown, StopWhat
from appliance.client.pump import PumpClient
from appliance.client.words import (
    BENCH,
    format_dose,
    format_rate,
    in_words,
)

_CLOSE_TRIES = 40
_CLOSE_PAUSE_S = 0.1


@click.command()
@click.option("--bolus", "what", flag_value="bolus", help="Stop the boluses alone; basal goes on.")
@click.option("--now", "what", flag_value="now", help="Stop what goes out at once alone.")
@click.option("--extended", "what", flag_value="extended", help="Stop the extended bolus alone.")
@with_dir
@with_json
@click.pass_obj
def stop(session: Session, *, what: StopWhat | None, as_json: bool) -> None:
    """Stop delivery now, and say what had gone out."""
    with session.pump() as pump:
        stopped = [_closed(pump, dose) for dose in pump.stop(what or "all")]
    _report("stopped", stopped, as_json=as_json)


def _report(done: str, stopped: list[Dose], *, as_json: bool) -> None:
    if as_json:
        print_json({"bench": True, "stopped": [dict(dose.raw) for dose in stopped]})
    else:
        click.echo(f"{BENCH}  {done}" + ("" if stopped else "; no dose was running"))
        for dose in stopped:
            click.echo(dose_line(dose))
    sure = all(dose.certain for dose in stopped)
    end(Exit.DONE if sure else Exit.UNCERTAIN)


def _closed(pump: PumpClient, dose: Dose) -> Dose:
    """Return a stopped dose once its account is closed; as it is where that takes too long."""
    pause = threading.Event()
    for _ in range(_CLOSE_TRIES):
        if not dose.running:
            break
        pause.wait(_CLOSE_PAUSE_S)
        dose = pump.lookup(dose.id) or dose
    return dose


@click.command()
@with_dir
@with_json
@click.pass_obj
def suspend(session: Session, *, as_json: bool) -> None:
    """Stop all delivery until resume, and say what had gone out. A running bolus ends."""
    with session.pump() as pump:
        stopped = [_closed(pump, dose) for dose in pump.suspend()]
    _report("suspended", stopped, as_json=as_json)


@click.command()
@with_dir
@click.pass_obj
def resume(session: Session) -> None:
    """Run the self-test, arm the guard and deliver again. Takes a few seconds."""
    with session.pump() as pump:
        click.echo(f"{BENCH}  {safe(pump.resume())}")


@click.command()
@with_dir
@click.pass_obj
def rearm(session: Session) -> None:
    """Let delivery resume after three alarms and restarts within 10 minutes have locked it."""
    with session.pump() as pump:
        pump.rearm()
    click.echo(f"{BENCH}  re-armed: pumpctl resume")


@click.command()
@click.argument("number", type=click.IntRange(0, 2**53 - 1), required=False)
@click.option("--all", "everything", is_flag=True, help="Acknowledge every alarm.")
@with_dir
@click.pass_obj
def ack(session: Session, number: int | None, *, everything: bool) -> None:
    """Acknowledge alarm NUMBER (see: pumpctl alarms), or --all of them."""
    if (number is None) is not everything:
        raise click.UsageError("give the NUMBER of an alarm, or --all")
    with session.pump() as pump:
        pump.acknowledge(number)
    click.echo(f"{BENCH}  acknowledged {'every alarm' if number is None else f'alarm {number}'}")


@click.group()
def limits() -> None:
    """The therapy limits, under the machine's ceilings."""


@limits.command("show")
@with_dir
@with_json
@click.pass_obj
def limits_show(session: Session, *, as_json: bool) -> None:
    """Show the limits in force, and the ceilings over them."""
    with session.pump() as pump:
        shown = pump.limits()
    if as_json:
        print_json({"bench": True, **shown.raw})
        return
    click.echo(
        f"{BENCH}  limits" + ("" if shown.limits else ": none declared, so nothing is delivered")
    )
    for name, text in _limit_words(shown):
        click.echo(f"  {name:<24}{text}")


def _limit_words(shown: LimitsShown) -> list[tuple[str, str]]:
    rows = []
    for name, amount in (shown.limits or {}).items():
        ceiling = shown.ceilings.get(name)
        text = _limit_text(name, amount)
        over = "" if ceiling is None else f"   (ceiling {_limit_text(name, ceiling)})"
        rows.append((safe(name), text + over))
    return rows


def _limit_text(name: str, amount: int) -> str:
    if name.endswith("_uu_per_h"):
        return format_rate(amount)
    return format_dose(amount) if name.endswith("_uu") else in_words(amount)


@limits.command("set")
@click.option("--max-bolus", "max_bolus_uu", type=DOSE, metavar="U", help="Most for one bolus.")
@click.option("--hourly", "hourly_uu", type=DOSE, metavar="U", help="Most in any 60 minutes.")
@click.option("--daily", "daily_uu", type=RESERVOIR, metavar="U", help="Most in any 24 hours.")
@click.option(
    "--max-basal", "max_basal_uu_per_h", type=RATE, metavar="U/H", help="Highest basal rate."
)
@click.option(
    "--min-interval",
    "min_interval_s",
    type=int,
    metavar="S",
    help="Least seconds between two boluses.",
)
@with_dir
@click.pass_obj
def limits_set(session: Session, /, **given: int | None) -> None:
    """Set the limits that are named; the others stay as they are.

    A new pump has none: there all five must be named.
    """
    changed = {name: amount for name, amount in given.items() if amount is not None}
    if not changed:
        raise click.UsageError("name at least one limit, such as --max-bolus 8")
    with session.pump() as pump:
        before = pump.limits().limits or {}
        five = {name: changed.get(name, before.get(name)) for name in Limits.model_fields}
        missing = [name for name, amount in five.items() if amount is None]
        if missing:
            flags = ", ".join(
                "--" + name.split("_u")[0].split("_s")[0].replace("_", "-") for name in missing
            )
            raise click.UsageError(
                f"this pump has no limits yet, so name all five: {flags} missing"
            )
        pump.set_limits(Limits.model_validate(five))
    click.echo(f"{BENCH}  limits set")
    for name, amount in changed.items():
        old = before.get(name)
        was = "not set" if old is None else _limit_text(name, old)
        click.echo(f"  {name:<24}{_limit_text(name, amount)}   (was {was})")
