"""The verb that doses: review, confirm, deliver, stay to the end, say exactly what went out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any
from uuid import UUID

import click

from appliance.cli.reading import dose_line
from appliance.cli.session import (
    AGO,
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
from appliance.client.messages import (
    SIGNALS_UNCHECKED,
    Dose,
    Review,
    RunningBolus,
    Snapshot,
    Speed,
    StopWhat,
)
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

_MOST_UU = 99_990_000  # what the keypad can write
_SLICE_S = 0.05  # how soon a Ctrl-C is acted on
_SILENT_SLICES = 60  # 3 s without a snapshot: ask
_LOOK_EVERY = 5  # snapshots between two look-ups of a dose that is being closed


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was typed: the whole bolus, and the part of it that goes out over a time."""

    amount_uu: int
    extended_uu: int
    extended_s: int
    speed: Speed


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
@click.argument("amount_uu", metavar="AMOUNT", type=DOSE, required=False)
@click.option(
    "--extend",
    "extended_uu",
    type=DOSE,
    metavar="U",
    help="How much of AMOUNT goes out over a time; the rest goes out at once.",
)
@click.option(
    "--over", "extended_s", type=AGO, metavar="TIME", help='That time: "15m" to "8h", "1h30m".'
)
@click.option(
    "--quick",
    type=click.IntRange(1, 99),
    metavar="N",
    help="N steps of a quick bolus instead of an AMOUNT (pumpctl quick set).",
)
@click.option(
    "--id", "request_id", type=click.UUID, help="The dose's id; the same id never doses twice."
)
@click.option("--carbs", "carbs_g", type=click.IntRange(0, 300), metavar="G", help="For food.")
@click.option("--correction", "correction_uu", type=DOSE, metavar="U", help="Part of AMOUNT.")
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
    amount_uu: int | None,
    *,
    extended_uu: int | None,
    extended_s: int | None,
    quick: int | None,
    request_id: UUID | None,
    carbs_g: int | None,
    correction_uu: int | None,
    yes: bool,
    wait: bool,
    speed: Speed,
    as_json: bool,
) -> None:
    """Deliver AMOUNT units, such as 2.5: at most two digits and two decimals.

    With --extend a part of AMOUNT goes out over a time: "2.5 --extend 1.5 --over 2h" gives 2.5 U in
    all, 1 U at once and 1.5 U over two hours.

    --carbs and --correction say what it is for; they are recorded and change nothing.

    The pump's review comes first, then the question. pumpctl stays connected until the dose has
    ended, because it is what can stop it: Ctrl-C stops the bolus and tells what went out.

    Ends with 0 when all of it was delivered and confirmed, 1 when it was refused or cut short, 3
    without a pump, 4 when what went out is uncertain.
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("in a pipe a bolus needs --yes: there is nobody to ask")
    if (amount_uu is None) is (quick is None):
        raise click.UsageError("give the AMOUNT, or --quick N")
    if (extended_uu is None) is not (extended_s is None):
        raise click.UsageError("--extend and --over go together, such as --extend 1.5 --over 2h")
    own_id = str(request_id or new_request_id())
    with session.pump() as pump:
        if amount_uu is None:
            amount_uu = _quick_uu(pump, quick or 0)
        wanted = Wanted(amount_uu, extended_uu or 0, extended_s or 0, speed)
        dose = None if request_id is None else pump.lookup(own_id)
        token, again = "", False
        if dose is None:
            token, again = _reviewed(pump, own_id, wanted, yes=yes, quiet=as_json)
        else:
            _refuse_another_dose(dose, wanted)
            say("this id was given before: no new dose, this is what became of it")
        with caught_interrupts(own_id) as interrupts:
            if dose is None:
                dose = pump.deliver(
                    own_id,
                    wanted.amount_uu,
                    token,
                    speed=speed,
                    stay=wait,
                    again=again,
                    extended_uu=wanted.extended_uu,
                    extended_s=wanted.extended_s,
                    correction_uu=correction_uu or 0,
                    carbs_g=carbs_g or 0,
                )
            if wait:
                dose = _wait(pump, dose, interrupts, quiet=as_json or not sys.stdout.isatty())
    _report(dose, as_json=as_json)


def _review(pump: PumpClient, request_id: str, wanted: Wanted) -> Review:
    return pump.review(
        request_id,
        wanted.amount_uu,
        wanted.speed,
        extended_uu=wanted.extended_uu,
        extended_s=wanted.extended_s,
    )


def _reviewed(
    pump: PumpClient, request_id: str, wanted: Wanted, *, yes: bool, quiet: bool
) -> tuple[str, bool]:
    """Show the review and ask; return the token, and whether it was asked twice for one amount."""
    review = _review(pump, request_id, wanted)
    if [reason.code for reason in review.reasons] == [SIGNALS_UNCHECKED]:
        # The first bolus after a start: light and sound come first, whoever answers for them.
        if not play_and_confirm(pump, yes=yes):
            end(Exit.REFUSED)
        review = _review(pump, request_id, wanted)
    if review.reasons or review.token is None:
        say_refused(review.reasons)
        end(Exit.REFUSED)
    if not quiet and (sys.stdout.isatty() or not yes):
        clock = pump.status().clock
        for line in review_lines(review, wanted.speed, None if clock is None else clock.utc_ns):
            click.echo(line)
    if review.again is not None and yes:
        say(f"{review.again}: --yes does")
    asked = [f"Deliver {format_dose(wanted.amount_uu)}?"]
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


def _quick_uu(pump: PumpClient, steps: int) -> int:
    """Return what so many steps of a quick bolus are; end where no step is set, or it is more than
    the keypad can write.
    """
    step_uu = pump.quick_step_uu()
    if step_uu is None:
        say("refused: no step of a quick bolus is set: pumpctl quick set 0.5")
        end(Exit.REFUSED)
    if steps * step_uu > _MOST_UU:
        say(f"refused: {steps} steps of {format_dose(step_uu)} are over {format_dose(_MOST_UU)}")
        end(Exit.REFUSED)
    return steps * step_uu


def _refuse_another_dose(known: Dose, wanted: Wanted) -> None:
    whole_uu = known.programmed_uu if known.whole_uu is None else known.whole_uu
    if whole_uu != wanted.amount_uu:
        say(
            f"refused: the id {known.id} belongs to a {known.kind} of "
            f"{steps_words(known.programmed_steps, known)}, not of {format_dose(wanted.amount_uu)}"
        )
        end(Exit.REFUSED)
    if known.extended_uu != wanted.extended_uu:
        say(
            f"refused: the id {known.id} belongs to a bolus of which "
            f"{format_dose(known.extended_uu)} are extended, not {format_dose(wanted.extended_uu)}"
        )
        end(Exit.REFUSED)


def _wait(pump: PumpClient, dose: Dose, interrupts: Interrupts, *, quiet: bool) -> Dose:
    """Stay until the dose has ended, through lost connections and a stop."""
    stopping = False
    while _running(dose):
        try:
            if interrupts.seen and not stopping:
                stopping = True
                _stop(pump, dose)
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


def _running(dose: Dose) -> bool:
    return any(part.running for part in dose.parts)


def _stop(pump: PumpClient, dose: Dose) -> None:
    """Stop this bolus alone: another one may run beside it."""
    what: StopWhat = "extended" if dose.kind == "extended" else "now"
    try:
        pump.stop("bolus" if dose.extended is not None else what)
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
        elif seen := _seen(snapshot, dose):
            silent = unseen = 0
            if not quiet:
                _show_progress(seen, dose)
        else:
            silent, unseen = 0, unseen + 1
        if silent >= _SILENT_SLICES or unseen % _LOOK_EVERY == 1:
            silent, unseen = 0, unseen + 1
            found = pump.lookup(dose.id)
            if found is None:
                raise OutcomeUnknown("the pump no longer knows this dose", dose.id)
            if not _running(found):
                return found
        if interrupts.seen and not stopping:
            return dose
        snapshot = pump.next_snapshot(_SLICE_S)


def _seen(snapshot: Snapshot, dose: Dose) -> list[tuple[RunningBolus, Dose]]:
    """Return the parts of this bolus that run in a snapshot."""
    shown = [one for one in (snapshot.bolus, snapshot.extended) if one is not None]
    return [(one, part) for part in dose.parts for one in shown if one.id == part.id]


def _show_progress(seen: list[tuple[RunningBolus, Dose]], dose: Dose) -> None:
    parts = [
        ("extended part " if part is not dose else "")
        + f"confirmed {steps_words(one.confirmed_steps, part)}"
        + f" of {steps_words(part.programmed_steps, part)}"
        for one, part in seen
    ]
    click.echo(f"\r{BENCH}  {'; '.join(parts)}   ", nl=False)
    sys.stdout.flush()


def _report(dose: Dose, *, as_json: bool) -> None:
    if as_json:
        print_json({"bench": True, **dose.raw})
    else:
        for part in dose.parts:
            click.echo(dose_line(part))
        if _running(dose):
            say(f"what becomes of it: pumpctl dose {dose.id}")
    if not all(part.running or part.certain for part in dose.parts):
        end(Exit.UNCERTAIN)
    cut = any(not part.running and part.outcome != "done" for part in dose.parts)
    end(Exit.REFUSED if cut else Exit.DONE)
