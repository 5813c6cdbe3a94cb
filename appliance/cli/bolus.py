"""The verb that doses: review, confirm, deliver, stay to the end, say exactly what went out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from uuid import UUID

import click

from appliance.cli.reading import dose_line
from appliance.cli.session import (
    DOSE,
    Exit,
    Session,
    end,
    print_json,
    safe,
    say,
    say_refused,
    with_dir,
    with_json,
)
from appliance.cli.signals import play_and_confirm
from appliance.client.errors import NoPump, OutcomeUnknown
from appliance.client.messages import SIGNALS_UNCHECKED, Dose, Review, Snapshot, Speed
from appliance.client.pump import PumpClient, new_request_id
from appliance.client.words import (
    BENCH,
    NS_PER_S,
    SPEEDS,
    format_dose,
    in_words,
    review_words,
    steps_words,
)

_SLICE_S = 0.05  # how soon a Ctrl-C is acted on
_SILENT_SLICES = 60  # 3 s without a snapshot: ask
_LOOK_EVERY = 5  # snapshots between two look-ups of a dose that is being closed


class Interrupts:
    """Counts Ctrl-C, SIGTERM and SIGHUP instead of dying of them: a bolus may be running."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.seen += 1
        if self.seen > 1:  # a second one means: leave now
            raise KeyboardInterrupt


@contextmanager
def caught_interrupts(request_id: str) -> Iterator[Interrupts]:
    """Catch what would end us, for as long as a dose depends on us.

    Raises OutcomeUnknown where a person leaves before its account is closed.
    """
    interrupts = Interrupts()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: dict[int, Any] = {number: signal.signal(number, interrupts) for number in numbers}
    try:
        yield interrupts
    except KeyboardInterrupt:
        text = "left before the account of this dose was closed"
        raise OutcomeUnknown(text, request_id) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command()
@click.argument("amount_uu", metavar="AMOUNT", type=DOSE)
@click.option(
    "--id", "request_id", type=click.UUID, help="The dose's id; the same id never doses twice."
)
@click.option("--yes", is_flag=True, help="Answer the confirmation. Needed in a pipe.")
@click.option(
    "--wait/--no-wait",
    default=True,
    help="Stay until the dose has ended (the default); else something must be able to stop it.",
)
@click.option(
    "--speed",
    type=click.Choice(sorted(SPEEDS)),
    default="normal",
    show_default=True,
    help="; ".join(f"{name} is {pace}" for name, pace in SPEEDS.items()) + ".",
)
@with_dir
@with_json
@click.pass_obj
def bolus(
    session: Session,
    amount_uu: int,
    *,
    request_id: UUID | None,
    yes: bool,
    wait: bool,
    speed: Speed,
    as_json: bool,
) -> None:
    """Deliver AMOUNT units, such as 2.5: at most two digits and two decimals.

    The pump's review comes first, then the question. pumpctl stays connected until the dose has
    ended, because it is what can stop it: Ctrl-C stops the bolus and tells what went out.

    Ends with 0 when all of it was delivered and confirmed, 1 when it was refused or cut short, 3
    without a pump, 4 when what went out is uncertain.
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("in a pipe a bolus needs --yes: there is nobody to ask")
    wanted = str(request_id or new_request_id())
    with session.pump() as pump:
        dose = None if request_id is None else pump.lookup(wanted)
        token, again = "", False
        if dose is None:
            token, again = _reviewed(pump, wanted, amount_uu, speed, yes=yes, quiet=as_json)
        else:
            _refuse_another_amount(dose, amount_uu)
            say("this id was given before: no new dose, this is what became of it")
        with caught_interrupts(wanted) as interrupts:
            if dose is None:
                dose = pump.deliver(wanted, amount_uu, token, speed=speed, stay=wait, again=again)
            if wait:
                dose = _wait(pump, dose, interrupts, quiet=as_json or not sys.stdout.isatty())
    _report(dose, as_json=as_json)


def _reviewed(
    pump: PumpClient, request_id: str, amount_uu: int, speed: Speed, *, yes: bool, quiet: bool
) -> tuple[str, bool]:
    """Show the review and ask; return the token, and whether it was asked twice for one amount."""
    review = pump.review(request_id, amount_uu, speed)
    if [reason.code for reason in review.reasons] == [SIGNALS_UNCHECKED]:
        # The first bolus after a start: light and sound come first, whoever answers for them.
        if not play_and_confirm(pump, yes=yes):
            end(Exit.REFUSED)
        review = pump.review(request_id, amount_uu, speed)
    if review.reasons or review.token is None:
        say_refused(review.reasons)
        end(Exit.REFUSED)
    if not quiet and (sys.stdout.isatty() or not yes):
        clock = pump.status().clock
        for line in review_lines(review, speed, None if clock is None else clock.utc_ns):
            click.echo(line)
    if review.again is not None and yes:
        say(f"{review.again}: --yes does")
    asked = [f"Deliver {format_dose(amount_uu)}?"]
    if review.again is not None:  # in another place, and not to be answered with the same keys
        asked.append(f"{safe(review.again)}. Deliver the same amount once more?")
    if not yes and not all(_confirmed(question) for question in asked):
        say("not confirmed: nothing was delivered")
        end(Exit.REFUSED)
    return review.token, review.again is not None


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(question, default=False)
    except click.Abort:  # Ctrl-C or the end of the input
        click.echo(err=True)
        return False


def review_lines(review: Review, speed: str, utc_ns: int | None) -> list[str]:
    """Say what the dose would be, what came before it, and what the limits leave (SR-08)."""
    lines = [f"{BENCH}  {review_words(review, speed)}"]
    last = review.last_bolus
    if last is not None:
        ago = ""
        if last.utc_ns is not None and utc_ns is not None:
            ago = f", {in_words((utc_ns - last.utc_ns) // NS_PER_S)} ago"
        lines.append(f"  last bolus {format_dose(last.programmed_uu)}{ago}")
    told = (
        ("delivered in the last 60 min, at most", review.delivered_60_min_uu),
        ("the limits leave, for one bolus", review.left_single_uu),
        ("the limits leave, in 60 min", review.left_60_min_uu),
        ("the limits leave, in 24 h", review.left_24_h_uu),
    )
    lines += [f"  {label} {format_dose(amount)}" for label, amount in told if amount is not None]
    lines.append(f"  id {review.request_id}")
    return lines


def _refuse_another_amount(known: Dose, amount_uu: int) -> None:
    if known.programmed_uu != amount_uu:
        say(
            f"refused: the id {known.id} belongs to a {known.kind} of "
            f"{steps_words(known.programmed_steps, known)}, not of {format_dose(amount_uu)}"
        )
        end(Exit.REFUSED)


def _wait(pump: PumpClient, dose: Dose, interrupts: Interrupts, *, quiet: bool) -> Dose:
    """Stay until the dose has ended, through lost connections and a stop."""
    stopping = False
    while dose.running:
        try:
            if interrupts.seen and not stopping:
                stopping = True
                _stop(pump)
                dose = pump.lookup(dose.id) or dose
                continue
            dose = _watched(pump, dose, interrupts, stopping=stopping, quiet=quiet)
        except NoPump as lost:
            say(f"lost the pump ({lost.why}); looking the dose up")
            found = pump.settle(dose.id)
            if found is None:
                raise OutcomeUnknown("the pump came back without this dose", dose.id) from lost
            dose = found
    if not quiet:
        click.echo()
    return dose


def _stop(pump: PumpClient) -> None:
    try:
        pump.stop("bolus")
    except OutcomeUnknown as unknown:  # the motor was told first; its account is not closed yet
        say(f"stopping; {unknown}")


def _watched(
    pump: PumpClient, dose: Dose, interrupts: Interrupts, *, stopping: bool, quiet: bool
) -> Dose:
    """Follow the snapshots until the dose has ended or there is something to do."""
    snapshot: Snapshot | None = pump.subscribe()
    silent = unseen = 0
    while True:
        if snapshot is None:
            silent += 1
        elif snapshot.bolus is not None and snapshot.bolus.id == dose.id:
            silent = unseen = 0
            if not quiet:
                _show_progress(snapshot.bolus.confirmed_steps, dose)
        else:
            silent, unseen = 0, unseen + 1
        if silent >= _SILENT_SLICES or unseen % _LOOK_EVERY == 1:
            silent, unseen = 0, unseen + 1
            found = pump.lookup(dose.id)
            if found is None:
                raise OutcomeUnknown("the pump no longer knows this dose", dose.id)
            if not found.running:
                return found
        if interrupts.seen and not stopping:
            return dose
        snapshot = pump.next_snapshot(_SLICE_S)


def _show_progress(confirmed_steps: int, dose: Dose) -> None:
    confirmed = steps_words(confirmed_steps, dose)
    line = f"{BENCH}  confirmed {confirmed} of {steps_words(dose.programmed_steps, dose)}"
    click.echo(f"\r{line}   ", nl=False)
    sys.stdout.flush()


def _report(dose: Dose, *, as_json: bool) -> None:
    if as_json:
        print_json({"bench": True, **dose.raw})
    else:
        click.echo(dose_line(dose))
        if dose.running:
            say(f"what becomes of it: pumpctl dose {dose.id}")
    if dose.running:
        end(Exit.DONE)
    if not dose.certain:
        end(Exit.UNCERTAIN)
    end(Exit.DONE if dose.outcome == "done" else Exit.REFUSED)
