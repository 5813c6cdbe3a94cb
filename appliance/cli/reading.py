"""Verbs that read: status, alarms, history, dose."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import click

from appliance.cli.glucose import glucose_words
from appliance.cli.session import (
    AGO,
    Exit,
    Session,
    end,
    print_csv,
    print_json,
    safe,
    say,
    with_dir,
    with_json,
)
from appliance.client.messages import (
    Alarm,
    BatteryShown,
    Dose,
    HistoryRow,
    RunningBolus,
    Snapshot,
    Temp,
)
from appliance.client.words import (
    BENCH,
    NS_PER_S,
    format_dose,
    format_rate,
    in_words,
    steps_words,
    time_words,
)

STALE_MS = 3_000
_COLUMNS = (
    *("seq", "id", "kind", "programmed_uu", "programmed_steps", "issued_steps", "confirmed_steps"),
    *("maximum_steps", "certainty", "outcome", "why", "utc_ns", "offset_s", "text"),
)
_ROWS = 50
_LOG_ROWS = 5_000


@click.command()
@with_dir
@with_json
@click.option("--watch", is_flag=True, help="Go on, and print every change, until Ctrl-C.")
@click.pass_obj
def status(session: Session, *, as_json: bool, watch: bool) -> None:
    """Show what the pump is doing now.

    With --json and --watch there is one object a line.
    """
    with session.pump() as pump:
        name = pump.rpc.hello.pump if pump.rpc.hello else "?"
        if not watch:
            snapshot = pump.status()
            if as_json:
                print_json(snapshot.raw)
            else:
                click.echo("\n".join(status_lines(snapshot, name)))
            return
        for snapshot in pump.iter_snapshots():
            if as_json:
                click.echo(json.dumps(snapshot.raw))
            elif sys.stdout.isatty():
                click.clear()
                click.echo("\n".join(status_lines(snapshot, name)))
            else:
                click.echo(status_line(snapshot))
            sys.stdout.flush()


def battery_words(battery: BatteryShown) -> str:
    """Say the charge and how long it lasts, such as "80 %, about 96 min"."""
    parts = []
    if battery.percent is not None and battery.minutes is not None:
        parts.append(f"{battery.percent} %, about {battery.minutes} min")
    if battery.failing:
        parts.append("THE SUPPLY FAILS")
    return ", ".join(parts) or "not known"


def status_line(snapshot: Snapshot) -> str:
    """Say the most important things in one line."""
    parts = [BENCH, time_words(*_clock(snapshot)), safe(snapshot.state)]
    parts.append(format_rate(snapshot.basal_uu_per_h))
    if snapshot.temp:
        parts.append(f"temp {temp_words(snapshot.temp)}")
    if snapshot.bolus:
        parts.append(f"bolus {_bolus_words(snapshot.bolus)}")
    if snapshot.extended:
        parts.append(f"extended {_bolus_words(snapshot.extended)}")
    if snapshot.reservoir_uu is not None:
        parts.append(f"reservoir {format_dose(snapshot.reservoir_uu)}")
    parts.append(f"{len(snapshot.alarms)} alarms" if snapshot.alarms else "no alarm")
    return "  ".join(parts)


def status_lines(snapshot: Snapshot, name: str) -> list[str]:
    """Say everything, a line each."""
    pace = f"   time runs x{snapshot.speed}" if snapshot.speed != 1 else ""
    lines = [f"{BENCH}  {safe(name)}: water only, not a medical device{pace}"]

    def row(label: str, text: str) -> None:
        lines.append(f"  {label:<14}{safe(text)}")

    if snapshot.age_ms > STALE_MS:
        row("STALE", f"the pump said this {snapshot.age_ms // 1000} s ago and nothing since")
    row("state", snapshot.state + ("" if snapshot.delivering else ", not delivering"))
    for reason in snapshot.reasons:
        row("why", reason)
    row("basal", format_rate(snapshot.basal_uu_per_h))
    if snapshot.temp is not None:
        row("temp", temp_words(snapshot.temp))
    if snapshot.iob_uu is not None:
        row("on board", on_board_words(snapshot.iob_uu))
    if snapshot.glucose is not None and (
        snapshot.glucose.state != "none" or snapshot.glucose.finger
    ):
        row("glucose", glucose_words(snapshot.glucose))
    row("bolus", _bolus_words(snapshot.bolus) if snapshot.bolus else "none")
    if snapshot.extended is not None:
        left = in_words(snapshot.extended.left_s)
        row("extended", f"{_bolus_words(snapshot.extended)}; {left} left")
    held = snapshot.reservoir_uu
    lasts = "" if snapshot.reservoir_h is None else f", {snapshot.reservoir_h} h of basal"
    row("reservoir", "no cartridge declared" if held is None else format_dose(held) + lasts)
    if snapshot.battery is not None:
        row("battery", battery_words(snapshot.battery))
    if snapshot.left_60_min_uu is not None and snapshot.left_24_h_uu is not None:
        hour, day = format_dose(snapshot.left_60_min_uu), format_dose(snapshot.left_24_h_uu)
        row("limits leave", f"{hour} in 60 min, {day} in 24 h")
    paused_s = snapshot.audio.paused_left_s
    quiet = f", sound paused for {paused_s} s more" if paused_s else ""
    row("alarms", "none" if not snapshot.alarms else str(len(snapshot.alarms)) + quiet)
    lines += [f"  {'':<14}{line}" for line in alarm_lines(snapshot.alarms, _clock(snapshot)[0])]
    if snapshot.clock is not None:
        row("clock", f"{time_words(*_clock(snapshot))}, {snapshot.clock.quality}")
    for text in snapshot.weaker:
        row("weaker", text)
    missing = [thing for thing, had in snapshot.realtime.items() if not had]
    if missing:
        row("real time", "without " + ", ".join(missing))
    for check in snapshot.self_test:
        if not check.ok:
            row("self-test", f"{check.name}: {check.text}")
    if trouble := snapshot.ledger.get("trouble"):
        row("ledger", str(trouble))
    up = [
        f"{program} {pid}" if pid else f"{program} DOWN" for program, pid in snapshot.pids.items()
    ]
    row("programs", ", ".join(up) or "?")
    return lines


def _clock(snapshot: Snapshot) -> tuple[int | None, int]:
    return (snapshot.clock.utc_ns, snapshot.clock.offset_s) if snapshot.clock else (None, 0)


def on_board_words(iob: Mapping[str, Any]) -> str:
    """Say what is on board: boluses, and basal beside its schedule."""
    amounts = [iob.get(name) for name in ("total", "bolus", "basal")]
    # Rounded towards zero, and no sign before nothing.
    words = [
        "?" if type(one) is not int else format_dose(one).replace("-0.00 U", "0.00 U")
        for one in amounts
    ]
    total, bolus, basal = words
    return f"{total}: {bolus} of boluses, {basal} of basal beside its schedule ({iob.get('model')})"


def temp_words(temp: Temp) -> str:
    """Say a temporary basal: its value, what it gives now, and how long it goes on."""
    value = f"{temp.value} %" if temp.kind == "percent" else format_rate(temp.value)
    gives = f", {format_rate(temp.rate_uu_per_h)}" if temp.kind == "percent" else ""
    capped = " (held down by the basal limit)" if temp.capped else ""
    return f"{value}{gives}{capped}, {in_words(temp.left_s)} left"


def _bolus_words(bolus: RunningBolus) -> str:
    return (
        f"{format_dose(bolus.programmed_uu)}: {bolus.confirmed_steps} of {bolus.programmed_steps} "
        f"steps confirmed, {bolus.issued_steps} issued"
    )


@click.command()
@with_dir
@with_json
@click.option("--log", is_flag=True, help="What became of every alarm, newest first.")
@click.pass_obj
def alarms(session: Session, *, as_json: bool, log: bool) -> None:
    """List the alarms that stand, and what to do about each.

    With --log the pump-keeper answers, from the last 5,000 rows of the ledger.
    """
    if log:
        _alarm_log(session, as_json=as_json)
        return
    with session.pump() as pump:
        listed = pump.alarms()
        if as_json:
            print_json({"bench": True, "alarms": [dict(alarm.raw) for alarm in listed]})
            return
        clock = pump.status()
    click.echo(f"{BENCH}  {len(listed) or 'no'} alarm{'' if len(listed) == 1 else 's'}")
    for line in alarm_lines(listed, _clock(clock)[0]):
        click.echo("  " + line)


def _alarm_log(session: Session, *, as_json: bool) -> None:
    with session.keeper() as keeper:
        found = [row for row in keeper.history(rows=_LOG_ROWS) if row.kind in ("alarm", "signals")]
    if as_json:
        print_json({"bench": True, "rows": [dict(row.raw) for row in found]})
        return
    click.echo(f"{BENCH}  alarm log, newest first")
    for row in found:
        for line in _row_lines(row):
            click.echo("  " + line)


def alarm_lines(listed: Iterable[Alarm], utc_ns: int | None) -> list[str]:
    """Say each alarm: what it is, and below it what to do."""
    lines = []
    for alarm in listed:
        marks = [] if alarm.active else ["its cause has gone"]
        marks += ["acknowledged"] if alarm.acknowledged else []
        marks += ["unanswered for long"] if alarm.escalated else []
        if alarm.since_utc_ns is not None and utc_ns is not None:
            marks.append(f"for {in_words((utc_ns - alarm.since_utc_ns) // NS_PER_S)}")
        lines.append(
            safe(
                f"{alarm.number}  {alarm.priority.upper()}  {alarm.name}: {alarm.text}"
                + (f" ({', '.join(marks)})" if marks else "")
            )
        )
        lines += ["   " + safe(text) for text in alarm.what_to_do]
    return lines


@click.command()
@with_dir
@with_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV for a spreadsheet.")
@click.option("--since", type=AGO, metavar="AGO", help='Only the last "24h", "90m", "7d", "1d12h".')
@click.option("--steps", is_flag=True, help="Show leases and steps under each dose.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    help=f"At most so many rows.  [default: {_ROWS}; all of them with --since]",
)
@click.option("--id", "request_id", type=click.UUID, help="One dose alone, by its id.")
@click.pass_obj
def history(
    session: Session,
    *,
    as_json: bool,
    as_csv: bool,
    since: int | None,
    steps: bool,
    limit: int | None,
    request_id: UUID | None,
) -> None:
    """Show what happened, newest first.

    The pump-keeper answers, so this needs no pumpd. Times are the pump's own.
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    with session.keeper() as keeper:
        since_utc_ns = None
        if since is not None:
            now_utc_ns = keeper.rpc.hello.utc_ns if keeper.rpc.hello else None
            if now_utc_ns is None:
                raise click.ClickException(
                    "the keeper does not tell the time, so --since is not possible"
                )
            since_utc_ns = max(0, now_utc_ns - since * NS_PER_S)
        rows = keeper.history(
            since_utc_ns=since_utc_ns,
            rows=limit if limit is not None or since is not None else _ROWS,
            steps=steps,
            request_id=None if request_id is None else str(request_id),
        )
        found = list(rows)
    if as_json:
        print_json({"bench": True, "rows": [dict(row.raw) for row in found]})
    elif as_csv:
        print_csv(_COLUMNS, [row.raw for row in found])
    else:
        click.echo(
            f"{BENCH}  {len(found) or 'no'} row{'' if len(found) == 1 else 's'}, newest first"
        )
        for row in found:
            for line in _row_lines(row):
                click.echo("  " + line)


def _row_lines(row: HistoryRow) -> list[str]:
    parts = [f"{row.seq:>7}", time_words(row.utc_ns, row.offset_s), row.kind]
    if row.programmed_uu is not None:
        parts.append(format_dose(row.programmed_uu))
    if row.programmed_steps is not None:
        parts.append(
            f"programmed {row.programmed_steps} issued {row.issued_steps} "
            f"confirmed {row.confirmed_steps} maximum {row.maximum_steps} steps"
        )
    parts += [text for text in (row.certainty, row.outcome, row.why, row.text) if text]
    lines = [safe("  ".join(parts))]
    if row.programmed_steps is not None:
        lines.append(safe(f"{'':>9}id {row.id}"))
    lines += [
        safe(f"{'':>9}lease " + "  ".join(f"{key} {said}" for key, said in lease.items()))
        for lease in row.leases
    ]
    return lines


@click.command()
@click.argument("request_id", metavar="UUID", type=click.UUID)
@with_dir
@with_json
@click.pass_obj
def dose(session: Session, request_id: UUID, *, as_json: bool) -> None:
    """Show what became of one dose, by its id.

    Ends with 0 where it is exact, 4 where it is uncertain, 1 where there is none.
    """
    with session.pump() as pump:
        found = pump.lookup(str(request_id))
    if found is None:
        say(f"refused: no dose has the id {request_id}")
        end(Exit.REFUSED)
    if as_json:
        print_json({"bench": True, **found.raw})
    else:
        for part in found.parts:
            click.echo(dose_line(part))
    sure = all(part.running or part.certain for part in found.parts)
    end(Exit.DONE if sure else Exit.UNCERTAIN)


def dose_line(found: Dose) -> str:
    """Say one dose in one line: programmed, issued, confirmed, and how sure that is."""
    line = f"{BENCH}  {found.kind}"
    if found.programmed_steps is not None:
        line += f" programmed {steps_words(found.programmed_steps, found)},"
    line += f" issued {steps_words(found.issued_steps, found)},"
    line += f" confirmed {steps_words(found.confirmed_steps, found)}"
    if found.running:
        return safe(f"{line}: still running")
    if found.certain:
        sure = "exact"
    else:
        most = steps_words(found.maximum_steps, found)
        sure = f"{found.certainty.upper()}, at most {most}"
    ended = f"; {found.outcome}" + (f": {found.why}" if found.why else "")
    return safe(f"{line}, {sure}{ended}")
