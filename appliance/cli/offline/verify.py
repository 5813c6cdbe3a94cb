"""``pumpctl verify``: walk a ledger's chain with the reader that shares nothing with the engine."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import click

from appliance.cli.session import Exit, Session, end, print_json, safe, say, with_dir, with_json
from appliance.client.words import BENCH
from appliance.verify.reader import Verdict
from appliance.verify.reader import verify as read_ledger


@click.command("verify")
@click.argument("ledger", type=click.Path(path_type=Path), required=False)
@with_dir
@with_json
@click.pass_obj
def verify(session: Session, ledger: Path | None, *, as_json: bool) -> None:
    """Check that a ledger is whole, and sum up all motion in it; needs no pump.

    Without LEDGER it reads the one of the pump that the other verbs would ask. A running pump may
    go on writing meanwhile. Ends with 0 where it is whole, 1 where it is not, 3 where there is
    none.
    """
    path = session.places().ledger if ledger is None else ledger
    watched = sys.stderr.isatty()
    try:
        verdict = read_ledger(path, _show if watched else None)
    except FileNotFoundError:
        say(f"no ledger: there is no file {path}")
        end(Exit.NO_PUMP)
    except OSError as error:
        say(f"{path} cannot be read: {error.strerror}")
        end(Exit.REFUSED)
    if watched:
        click.echo("\r\033[K", nl=False, err=True)
    if as_json:
        print_json({"bench": True, "file": str(path), **dataclasses.asdict(verdict)})
    else:
        for line in verdict_lines(path, verdict):
            click.echo(safe(line))
    end(Exit.DONE if verdict.ok else Exit.REFUSED)


def verdict_lines(path: Path, verdict: Verdict) -> list[str]:
    """Say a verdict: what holds first, then every reason against the rest."""
    lines = [
        f"{BENCH}  ledger {path}: {'whole' if verdict.ok else 'NOT WHOLE'}",
        f"  {verdict.rows} rows hold, up to the head {verdict.head}",
        f"  {verdict.confirmed_steps} steps confirmed, at most {verdict.maximum_steps}; "
        f"{verdict.open_leases} leases open",
    ]
    if verdict.first_bad_seq is not None:
        lines.append(f"  the first bad row is {verdict.first_bad_seq}")
    return lines + [f"  - {reason}" for reason in verdict.reasons]


def _show(rows: int) -> None:
    click.echo(f"\r{rows} rows read", nl=False, err=True)
