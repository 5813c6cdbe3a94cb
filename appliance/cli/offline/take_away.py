"""``pumpctl export`` and ``pumpctl report``: what to take away, straight from a ledger."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.session import Exit, Session, end, safe, say, with_dir
from appliance.client.words import BENCH

if TYPE_CHECKING:  # imported where they are used: they cost every other verb its start
    from appliance.keeper.rollup import Rollup

_LEDGER = click.option(
    "--ledger", type=click.Path(path_type=Path), help="This ledger, instead of the pump's."
)


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@_LEDGER
@with_dir
@click.pass_obj
def export(session: Session, folder: Path, ledger: Path | None) -> None:
    """Write everything into FOLDER: CSV with a data dictionary, JSON, Nightscout's shapes, SQLite.

    FOLDER is made, and may hold no export yet. Needs no pump; a running one may go on writing.
    """
    from appliance.keeper.export import Exporter

    with _followed(session, ledger) as rollup:
        try:
            written = Exporter(rollup).write(folder)
        except FileExistsError as error:
            say(f"{error.filename} is there already: name another folder")
            end(Exit.REFUSED)
        except OSError as error:
            say(f"{error.filename or folder} cannot be written: {error.strerror}")
            end(Exit.REFUSED)
        for path in written:
            click.echo(safe(f"{BENCH}  {path}"))


@click.command("report")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--days", type=click.IntRange(1, 90), default=14, show_default=True)
@click.option("--until", metavar="DATE", help="The last day, such as 2026-11-26.  [default: last]")
@_LEDGER
@with_dir
@click.pass_obj
def report(session: Session, file: Path, days: int, until: str | None, ledger: Path | None) -> None:
    """Write a PDF of so many days to FILE: ranges, profile, each day, settings, waste.

    Needs no pump; a running one may go on writing.
    """
    from appliance.keeper.queries import day_number
    from appliance.keeper.report import Report

    with _followed(session, ledger) as rollup:
        last = rollup.last_day()
        try:
            until_day = day_number(until) if until is not None else last
            pages = Report(rollup, "Benchpump").write(file, until_day, days)
        except ValueError as error:
            say(safe(str(error)))
            end(Exit.WRONG_WORDS)
        except OSError as error:
            say(f"{error.filename or file} cannot be written: {error.strerror}")
            end(Exit.REFUSED)
    click.echo(safe(f"{BENCH}  {file}: {pages} pages, {days} days"))


@contextmanager
def _followed(session: Session, ledger: Path | None) -> Iterator[Rollup]:
    """Read a whole ledger into sums of its own, and forget them afterwards."""
    from appliance.errors import LedgerFault
    from appliance.keeper.rollup import Rollup

    path = session.places().ledger if ledger is None else ledger
    if not path.exists():
        say(f"no ledger: there is no file {path}")
        end(Exit.NO_PUMP)
    with (
        tempfile.TemporaryDirectory(prefix="benchpump-") as scratch,
        closing(Rollup(Path(scratch) / "sums.db", path)) as rollup,
    ):
        try:
            while not (followed := rollup.follow()).whole:
                if sys.stderr.isatty():
                    share = followed.seq / max(1, followed.head_seq)
                    click.echo(f"\rreading {share:4.0%}", nl=False, err=True)
        except LedgerFault as fault:
            say(safe(f"{fault.code}: {fault}"))
            end(Exit.REFUSED)
        if sys.stderr.isatty():
            click.echo("\r\033[K", nl=False, err=True)
        yield rollup
