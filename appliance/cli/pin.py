"""Verbs of the PIN that settings wait for, once there is one."""

from __future__ import annotations

import click

from appliance.cli.session import Session, ask_pin, print_json, with_dir, with_json
from appliance.client.words import BENCH


@click.group()
def pin() -> None:
    """The PIN: once it is set, every change of a setting waits for it.

    It is typed, not shown. A script gives it in the environment, as BENCHPUMP_PIN.
    """


@pin.command("show")
@with_dir
@with_json
@click.pass_obj
def pin_show(session: Session, *, as_json: bool) -> None:
    """Say whether there is a PIN, and how long the next try has to wait."""
    with session.pump() as pump:
        shown = pump.pin()
    if as_json:
        print_json({"bench": True, **shown})
        return
    wait = f"; the next try waits {shown['wait_s']} s" if shown["wait_s"] else ""
    click.echo(f"{BENCH}  " + ("a PIN is set" if shown["set"] else "no PIN is set") + wait)


@pin.command("set")
@click.option("--forgotten", is_flag=True, help="Its file was taken away: no old one is asked for.")
@with_dir
@click.pass_obj
def pin_set(session: Session, *, forgotten: bool) -> None:
    """Set or change the PIN: 6 to 12 digits.

    A PIN that nobody knows any more is taken away by root, who deletes its file in the state
    folder; then --forgotten sets a new one.
    """
    with session.pump() as pump:
        old = ask_pin("The old PIN") if pump.pin()["set"] and not forgotten else None
        pump.set_pin(old, ask_pin("The new PIN", "BENCHPUMP_NEW_PIN", twice=True))
    click.echo(f"{BENCH}  PIN set: changes of settings wait for it")


@pin.command("clear")
@with_dir
@click.pass_obj
def pin_clear(session: Session) -> None:
    """Have no PIN any more: the roles of users alone decide."""
    with session.pump() as pump:
        pump.clear_pin(ask_pin("The PIN"))
    click.echo(f"{BENCH}  no PIN is set")


@pin.command("lock")
@with_dir
@click.pass_obj
def pin_lock(session: Session) -> None:
    """Have everybody need the PIN again, at once."""
    with session.pump() as pump:
        pump.lock()
    click.echo(f"{BENCH}  settings are locked")
