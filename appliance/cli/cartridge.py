"""Verbs of the cartridge and the set: rewind, load, prime, fill the cannula, finish, show."""

from __future__ import annotations

import sys
import threading

import click

from appliance.cli.reading import dose_line
from appliance.cli.session import (
    DOSE,
    RESERVOIR,
    Exit,
    Session,
    end,
    print_json,
    safe,
    say,
    with_dir,
    with_json,
)
from appliance.client.messages import CartridgeStep, Dose
from appliance.client.pump import PumpClient
from appliance.client.words import BENCH, format_dose, in_words, time_words

_PAUSE_S = 0.2
_DECLARED = {
    "rewind": "Is the syringe out of the pump?",
    "prime": "Does the tubing lead into the waste, and to nothing else?",
    "cannula": "Is the tubing full, and the set in its place?",
}
_S_PER_H = 3_600


@click.group()
def cartridge() -> None:
    """The cartridge and the set, step by step: rewind, load, prime, cannula, finish.

    A step that moves the motor asks twice; suspend delivery first. None of it is a dose.
    """


@cartridge.command("load")
@click.argument("amount_uu", metavar="AMOUNT", type=RESERVOIR)
@click.option("--kind", metavar="KIND", help="The fluid: rapid, or test (the default).")
@click.option("--size", "size_uu", type=RESERVOIR, metavar="U", help="What it holds when full.")
@with_dir
@click.pass_obj
def cartridge_load(session: Session, amount_uu: int, kind: str | None, size_uu: int | None) -> None:
    """Declare a fresh cartridge that holds AMOUNT units."""
    with session.pump() as pump:
        pump.load_cartridge(amount_uu, kind=kind, size_uu=size_uu)
    click.echo(f"{BENCH}  cartridge with {format_dose(amount_uu)}")


@cartridge.command("rewind")
@click.option("--yes", is_flag=True, help="Answer both confirmations. Needed in a pipe.")
@with_dir
@click.pass_obj
def cartridge_rewind(session: Session, *, yes: bool) -> None:
    """Run the carriage back to its end stop, with the syringe out."""
    _step(session, "rewind", 0, yes=yes)


@cartridge.command("prime")
@click.argument("amount_uu", metavar="AMOUNT", type=DOSE)
@click.option("--yes", is_flag=True, help="Answer both confirmations. Needed in a pipe.")
@with_dir
@click.pass_obj
def cartridge_prime(session: Session, amount_uu: int, *, yes: bool) -> None:
    """Push AMOUNT units, at most 10, through the tubing into the waste."""
    _step(session, "prime", amount_uu, yes=yes)


@cartridge.command("cannula")
@click.argument("amount_uu", metavar="AMOUNT", type=DOSE)
@click.option("--yes", is_flag=True, help="Answer both confirmations. Needed in a pipe.")
@with_dir
@click.pass_obj
def cartridge_cannula(session: Session, amount_uu: int, *, yes: bool) -> None:
    """Fill the cannula with AMOUNT units, at most 2."""
    _step(session, "cannula", amount_uu, yes=yes)


def _step(session: Session, step: CartridgeStep, amount_uu: int, *, yes: bool) -> None:
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("in a pipe this needs --yes: there is nobody to ask")
    with session.pump() as pump:
        if not yes and not _confirmed(_DECLARED[step]):
            end(Exit.REFUSED)
        prepared = pump.prepare_cartridge(step, amount_uu, declared=True)
        amount = "" if step == "rewind" else f" {format_dose(amount_uu)}."
        if not yes and not _confirmed(f"{safe(prepared['question'])}{amount}"):
            end(Exit.REFUSED)
        dose = _ended(pump, pump.run_cartridge(step, amount_uu, prepared["token"]))
    click.echo(dose_line(dose))
    if not dose.certain:
        end(Exit.UNCERTAIN)
    end(Exit.DONE if dose.outcome == "done" else Exit.REFUSED)


def _confirmed(question: str) -> bool:
    try:
        sure = click.confirm(question, default=False)
    except click.Abort:
        click.echo(err=True)
        sure = False
    if not sure:
        say("not confirmed: nothing moved")
    return sure


def _ended(pump: PumpClient, dose: Dose) -> Dose:
    """Stay until the step has ended; Ctrl-C stops it."""
    pause = threading.Event()
    try:
        while dose.running:
            pause.wait(_PAUSE_S)
            dose = pump.lookup(dose.id) or dose
    except KeyboardInterrupt:
        say("stopping")
        pump.stop()
        while dose.running:
            pause.wait(_PAUSE_S)
            dose = pump.lookup(dose.id) or dose
    return dose


@cartridge.command("finish")
@click.option("--site", metavar="NAME", help="Where the new cannula went, such as 'left, upper'.")
@with_dir
@click.pass_obj
def cartridge_finish(session: Session, site: str | None) -> None:
    """End the change; with --site the age of the cannula begins anew."""
    with session.pump() as pump:
        pump.finish_cartridge(site)
    click.echo(f"{BENCH}  finished: pumpctl resume")


@cartridge.command("show")
@with_dir
@with_json
@click.pass_obj
def cartridge_show(session: Session, *, as_json: bool) -> None:
    """Show what is loaded, what is to do, the age of each part, sites and waste."""
    with session.pump() as pump:
        shown = pump.cartridge()
    if as_json:
        print_json({"bench": True, **shown})
        return
    loaded = shown["loaded_uu"]
    click.echo(
        f"{BENCH}  " + ("no cartridge" if loaded is None else f"{format_dose(loaded)} loaded")
    )
    if shown["to_do"]:
        click.echo(f"  to do         {safe(shown['to_do'])}")
    for part in ("reservoir", "tubing", "cannula"):
        hours = shown[f"{part}_age_h"]
        age = "never changed" if hours is None else f"{in_words(hours * _S_PER_H)} old"
        click.echo(f"  {part:<16}{age}")
    for part, amount_uu in shown["wasted_uu"].items():
        click.echo(f"  {f'wasted, {part}':<16}{format_dose(amount_uu)}")
    for one in shown["sites"][:5]:
        click.echo(safe(f"  site            {one['site']}, {time_words(one['utc_ns'])}"))
