"""What every verb shares: where the pump is, how it is spoken to, how things end."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from pydantic import ValidationError

from appliance import __version__
from appliance.client import words
from appliance.client.bench import BenchClient
from appliance.client.errors import (
    BadAmount,
    BadPlace,
    BadProfile,
    NoPump,
    OutcomeUnknown,
    ProtocolFault,
    PumpError,
    PumpFailed,
    Refused,
    SeveralDemos,
)
from appliance.client.keeper import KeeperClient
from appliance.client.messages import Reason, reasons_of
from appliance.client.places import ENVIRONMENT, Places
from appliance.client.pump import PumpClient

NAME = f"pumpctl {__version__}"


class Exit(IntEnum):
    """How pumpctl ends. Scripts rely on it."""

    DONE = 0
    REFUSED = 1
    WRONG_WORDS = 2
    NO_PUMP = 3
    UNCERTAIN = 4
    INTERRUPTED = 130


@dataclass
class Session:
    """One run of pumpctl. ``folder`` is what ``--dir`` named, before or after the verb."""

    folder: Path | None = None

    def places(self) -> Places:
        """Find the pump's folders."""
        return Places.of(self.folder)

    def pump(self) -> PumpClient:
        """Return a client of ``pumpd``, not connected yet."""
        return PumpClient(self.places().pump_socket, client=NAME, pin=lambda: ask_pin("The PIN"))

    def keeper(self) -> KeeperClient:
        """Return a client of ``pump-keeper``, not connected yet."""
        return KeeperClient(self.places().keeper_socket, client=NAME)

    def bench(self) -> BenchClient:
        """Return a client of ``bench-sim``, not connected yet."""
        return BenchClient(self.places().bench_socket)


def ask_pin(what: str, variable: str = "BENCHPUMP_PIN", *, twice: bool = False) -> str:
    """Return a PIN from the environment, or have it typed unseen. Ends where neither is there."""
    if (given := os.environ.get(variable)) is not None:
        return given
    if not sys.stdin.isatty():
        raise click.UsageError(f"the PIN is needed: in a pipe, give it as {variable}")
    return str(click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))


Verb = TypeVar("Verb", bound=Callable[..., Any])


def _named(context: click.Context, _: click.Parameter, folder: Path | None) -> None:
    if folder is not None:
        context.find_root().ensure_object(Session).folder = folder


def with_dir(verb: Verb) -> Verb:
    """Let ``--dir DIR`` stand behind this verb too."""
    return click.option(
        "--dir",
        metavar="DIR",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_named,
        help="The demo's folder.  [default: the one running demo, else this machine's pump]",
    )(verb)


def with_json(verb: Verb) -> Verb:
    """Let ``--json`` stand behind this verb."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(verb)


class Pumpctl(click.Group):
    """The outermost group: it turns what went wrong into words and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Run a verb; end with the status of ``Exit``."""
        try:
            return super().invoke(ctx)
        except Refused as refused:
            say_refused(refused.reasons)
            ctx.exit(Exit.REFUSED)
        except ValidationError as wrong:
            say_refused([Reason.of(one) for one in reasons_of(wrong)])
            ctx.exit(Exit.REFUSED)
        except NoPump as lost:
            say_no_pump(lost, ctx.find_root().ensure_object(Session))
            ctx.exit(Exit.NO_PUMP)
        except OutcomeUnknown as unknown:
            say(f"outcome unknown: {unknown}")
            say("  look before anything else, and never repeat it under a new id:")
            asked = unknown.request_id
            say("  pumpctl history" if asked is None else f"  pumpctl dose {asked}")
            ctx.exit(Exit.UNCERTAIN)
        except SeveralDemos as several:
            say(f"{len(several.folders)} demos are running; say which one with --dir:")
            for folder in several.folders:
                say(f"  pumpctl --dir {folder} ...")
            ctx.exit(Exit.WRONG_WORDS)
        except BadProfile as bad:
            for fault in bad.faults:
                say(fault)
            ctx.exit(Exit.WRONG_WORDS)
        except (BadAmount, BadPlace) as bad:
            say(str(bad))
            ctx.exit(Exit.WRONG_WORDS)
        except PumpFailed as failed:
            say(f"{failed} ({failed.fault or failed.code})")
            ctx.exit(Exit.REFUSED)
        except PumpError as error:
            say(f"{error} ({error.code})")
            ctx.exit(Exit.REFUSED)
        except KeyboardInterrupt:
            click.echo(err=True)
            say("interrupted")
            ctx.exit(Exit.INTERRUPTED)


def say(text: str) -> None:
    """Tell the person, beside what a script reads."""
    click.echo(f"pumpctl: {safe(text)}" if not text.startswith("  ") else safe(text), err=True)


def safe(text: str) -> str:
    """Make a text from elsewhere harmless for a terminal: one line, nothing that steers it."""
    return "".join(char if char.isprintable() else "?" for char in text)


def say_refused(reasons: Sequence[Reason]) -> None:
    """Print every reason, with field, value and range where it has them."""
    say("refused" if len(reasons) == 1 else f"refused, for {len(reasons)} reasons")
    for reason in reasons:
        details = []
        if reason.field and reason.field not in reason.text:
            details.append(f"{reason.field} = {reason.value}")
        if reason.range and reason.range not in reason.text:
            details.append(f"allowed: {reason.range}")
        say(f"  {reason.text}" + (f" ({'; '.join(details)})" if details else ""))


def say_no_pump(lost: NoPump, session: Session) -> None:
    """Say what was tried, what the pump left behind, and how to start one."""
    say(f"{_MISSING.get(lost.path.name, 'no pump')}: {lost}")
    try:
        places = session.places()
    except PumpError as error:
        say(f"  {error}")
        return
    for line in places.reasons_not_up():
        say(f"  pumpd wrote: {line}")
    if places.demo is not None:
        say(f"  start it: ./install.sh demo --headless --dir {places.demo}")
    else:
        say(f"  tried: --dir (not given), {ENVIRONMENT} (not set), running demos (none),")
        say(f"         this machine's pump ({lost.path})")
        say("  start a demo: ./install.sh demo --headless --dir DIR")
        say("          then: pumpctl --dir DIR status")


_MISSING = {
    "keeper.sock": "history is not available, and dosing goes on without it: no pump-keeper",
    "bench.sock": "no simulated bench (a real pump has none)",
}


def print_json(body: Mapping[str, Any]) -> None:
    """Print one object for a script, in plain ASCII."""
    click.echo(json.dumps(body, indent=2))


def print_csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table for a spreadsheet; its last column is the BENCH mark."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, "mark"])
    for row in rows:
        writer.writerow([*(_cell(row.get(column)) for column in columns), words.BENCH])
    click.echo(text.getvalue(), nl=False)


def _cell(raw: object) -> object:
    # A cell that a spreadsheet would take for a formula is made a text.
    if isinstance(raw, str) and raw.startswith(("=", "+", "-", "@")):
        return "'" + raw
    return raw


def end(status: Exit) -> NoReturn:
    """End with this status."""
    sys.stdout.flush()
    raise click.exceptions.Exit(status)


class DoseType(click.ParamType[int]):
    """An amount in units, as on the keypad (SR-01)."""

    name = "units"

    def __init__(self, read: Callable[[str], int] = words.parse_dose) -> None:
        self._read = read

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the text, or end with the field, the text and what is allowed."""
        if isinstance(value, int):
            return value
        try:
            return self._read(str(value))
        except (BadAmount, ProtocolFault) as error:
            self.fail(safe(str(error)), param, ctx)


DOSE = DoseType()
RESERVOIR = DoseType(words.parse_reservoir)
RATE = DoseType(words.parse_rate)
AGO = DoseType(words.parse_ago_s)
