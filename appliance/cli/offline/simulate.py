"""``pumpctl simulate``: a whole pump on a virtual clock, thousands of times faster than life."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.session import Exit, end, print_json, safe, say, with_json
from appliance.client.words import BENCH
from appliance.errors import BadConfiguration

if TYPE_CHECKING:  # imported where they are used: engine and bench cost every other verb its start
    from collections.abc import Sequence

    from appliance.simulate.run import Report
    from appliance.simulate.scenario import Scenario
    from appliance.simulate.swarm import SwarmReport
    from appliance.simulate.therapy import Course
    from appliance.verify.audit import Audit


@click.command("simulate")
@click.argument("scenario", type=click.Path(path_type=Path), required=False)
@click.option("--days", type=click.FloatRange(0.001, 36_600), help="Instead of the scenario's.")
@click.option("--seed", type=click.IntRange(0, 2**62), help="Instead of the scenario's.")
@click.option("--pulses", is_flag=True, help="Skip the edges: the ledger is the same, and sooner.")
@click.option("--ledger", type=click.Path(path_type=Path), help="Keep the ledger as this new file.")
@click.option(
    "--swarm",
    "hours",
    type=click.FloatRange(0.0, 1_000.0),
    metavar="HOURS",
    help="Draw scenarios from seeds for so long, until a requirement breaks.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 10_000_000),
    help="So many seeds, from --seed on; with --swarm at most so many.",
)
@click.option("--jobs", type=click.IntRange(1, 64), help="With --seeds: so many at a time.")
@with_json
def simulate(
    scenario: Path | None,
    *,
    days: float | None,
    seed: int | None,
    pulses: bool,
    ledger: Path | None,
    hours: float | None,
    seeds: int | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Run SCENARIO.toml in virtual time and judge it after every event; needs no pump.

    Engine, stepper, guard, ledger and drivers are the pump's own, over the simulated bench. The
    same scenario and seed give the same ledger. Ends with 0 where every requirement held, 1 where
    one broke or the scenario is refused.

    \b
        pumpctl simulate docs/examples/month.toml
        pumpctl simulate docs/examples/month.toml --days 2 --seed 9 --json
        pumpctl simulate docs/examples/ninety-days.toml --seeds 20 --jobs 2
        pumpctl simulate --swarm 0.5                draws scenarios for half an hour
        pumpctl simulate --swarm 0.5 --seed 417 --seeds 1    runs one of them again
    """
    from appliance.simulate.run import run
    from appliance.simulate.scenario import read

    _check(scenario, days=days, pulses=pulses, ledger=ledger, hours=hours, seeds=seeds, jobs=jobs)
    try:
        if hours is not None:
            _swarm(hours, seed or 1, seeds, as_json=as_json)
        elif scenario is not None:
            show = _show if sys.stderr.isatty() else None
            given = read(scenario)
            if seeds is not None:
                first = given.seed if seed is None else seed
                _seeds(given, range(first, first + seeds), days, jobs or 1, as_json=as_json)
                return
            report = run(
                given,
                seed=seed,
                days=days,
                pulses=pulses,
                keep=ledger,
                progress=show,
                beside=scenario.parent,
            )
            _end_of(report, scenario, as_json=as_json)
    except BadConfiguration as bad:
        for fault in bad.faults:
            say(safe(f"{scenario}: {fault}"))
        end(Exit.REFUSED)
    except KeyboardInterrupt:
        _clear()
        say("stopped: what was simulated so far is not judged to its end")
        end(Exit.INTERRUPTED)


def _check(
    scenario: Path | None,
    *,
    days: float | None,
    pulses: bool,
    ledger: Path | None,
    hours: float | None,
    seeds: int | None,
    jobs: int | None,
) -> None:
    """Raise UsageError for words that do not go together."""
    if (scenario is None) is (hours is None):
        raise click.UsageError("give either SCENARIO or --swarm HOURS")
    if hours is not None and (days is not None or pulses or ledger is not None):
        raise click.UsageError(
            "--swarm draws everything itself: only --seed and --seeds go with it"
        )
    if seeds is not None and (pulses or ledger is not None):
        raise click.UsageError("--seeds has neither --pulses nor --ledger: run one seed alone")
    if jobs is not None and (seeds is None or hours is not None):
        raise click.UsageError("--jobs goes with --seeds and a SCENARIO")
    if ledger is not None and (ledger.exists() or not ledger.parent.is_dir()):
        raise click.UsageError(f"--ledger {ledger} has to be a new file in a folder that is there")


def _end_of(report: Report, scenario: Path, *, as_json: bool) -> None:
    _clear()
    if as_json:
        print_json({"bench": True, "file": str(scenario), **dataclasses.asdict(report)})
    else:
        for line in report_lines(report):
            click.echo(safe(line))
    end(Exit.REFUSED if report.violations else Exit.DONE)


def report_lines(report: Report) -> list[str]:
    """Say what a run came to."""
    verdict = "BROKEN" if report.violations else "every requirement held"
    speed = report.days / report.real_s if report.real_s else 0.0
    boluses = ", ".join(f"{count} {what}" for what, count in report.boluses.items())
    lines = [
        f"{BENCH}  {report.name}, seed {report.seed}, {report.days:g} days: {verdict}",
        f"  {report.asked_steps} steps asked, {report.plant_steps} moved; "
        f"{report.confirmed_steps} confirmed, at most {report.maximum_steps}",
        f"  boluses: {boluses}; {report.alarms} alarms, {report.blows} blows",
        f"  {report.rows} rows, head {report.head}",
        f"  {report.real_s:.1f} s at {report.level} level, {speed:.1f} days a second",
    ]
    if report.audit is not None:
        lines.insert(4, f"  {_windows(report.audit)}; {report.audit.uncertain} doses uncertain")
    lines += [course_line(name, one) for name, one in report.courses.items()]
    return lines + [f"  - {text}" for text in report.violations]


def course_line(name: str, one: Course) -> str:
    """Say how a patient was treated, in one line: by plasma glucose, minute by minute."""
    mean = one.statistics.get("mean_mg_dl")
    seen = "" if mean is None else f"; sensor mean {mean:.0f} mg/dL"
    asked = f"; {one.asked} times asked, {len(one.refused)} refused" if one.asked else ""
    return (
        f"  {name}: {one.in_range:.1f} % of the time in 70 to 180, {one.under_70:.1f} % under 70, "
        f"{one.insulin_u:.1f} U{seen}{asked}"
    )


def _windows(audit: Audit) -> str:
    return ", ".join(
        f"fullest {words} {audit.worst_uu.get(name, 0) / 1e6:.2f} of "
        f"{audit.limit_uu.get(name, 0) / 1e6:g} U"
        for name, words in (("hourly_uu", "60 min"), ("daily_uu", "24 h"))
    )


def _seeds(
    scenario: Scenario, seeds: range, days: float | None, jobs: int, *, as_json: bool
) -> None:
    from appliance.simulate.many import run_seeds

    reports: list[Report] = []
    if not as_json:
        click.echo(f"{BENCH}  {safe(scenario.name)}, {days or scenario.days:g} days each")
        click.echo(_row(_COLUMNS))
    for report in run_seeds(scenario, seeds, days=days, jobs=jobs):
        reports.append(report)
        if not as_json:
            click.echo(_row(seed_cells(report)))
            for text in report.violations:
                click.echo(safe(f"  - {text}"))
    broken = [one.seed for one in reports if one.violations]
    if as_json:
        print_json({"bench": True, "reports": [dataclasses.asdict(one) for one in reports]})
    else:
        steps = sum(one.plant_steps for one in reports)
        verdict = f"seeds {broken} are BROKEN" if broken else "every requirement held"
        click.echo(f"{len(reports)} seeds, {steps} steps: {verdict}")
    end(Exit.REFUSED if broken else Exit.DONE)


_COLUMNS = (
    "seed", "doses", "temps", "rests", "sets", "crashes", "clock", "moved", "ledger says",
    "unsure", "60 min", "24 h", "alarms", "s",
)  # fmt: skip
_WIDTHS = (4, 6, 5, 5, 4, 7, 5, 8, 15, 6, 14, 14, 6, 5)


def _row(cells: Sequence[str]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


def seed_cells(report: Report) -> list[str]:
    """Return the line of one seed: what was asked for, what happened, and what it came to."""
    audit, others = report.audit, report.others
    doses = sum(audit.doses.values()) if audit else 0
    least, most = report.confirmed_steps, report.maximum_steps
    said = f"{least}" if least == most else f"{least}..{str(most)[-4:]}"
    windows = [
        f"{audit.worst_uu[name] / 1e6:.2f} of {audit.limit_uu[name] / 1e6:g}" if audit else "-"
        for name in ("hourly_uu", "daily_uu")
    ]
    numbers = [
        report.seed, doses, others["temps"], others["suspends"], others["changes"],
        others["crashes"], others["clock_steps"] + others["zone_changes"], report.plant_steps,
    ]  # fmt: skip
    return [
        *(str(one) for one in numbers),
        said,
        str(audit.uncertain if audit else "-"),
        *windows,
        str(report.alarms),
        f"{report.real_s:.0f}",
    ]


def _swarm(hours: float, first: int, seeds: int | None, *, as_json: bool) -> None:
    from appliance.simulate.swarm import swarm

    watched = sys.stderr.isatty()

    def show(seed: int, done: int) -> None:
        if watched:
            click.echo(f"\r\033[K{done} scenarios held; seed {seed}", nl=False, err=True)

    report = swarm(hours, first=first, most=seeds, progress=show)
    _clear()
    if as_json:
        print_json({"bench": True, **dataclasses.asdict(report)})
    else:
        for line in swarm_lines(report):
            click.echo(safe(line))
    end(Exit.REFUSED if report.violations else Exit.DONE)


def swarm_lines(report: SwarmReport) -> list[str]:
    """Say what a swarm came to; where a requirement broke, with the command that shows it again."""
    lines = [
        f"{BENCH}  swarm: {report.held} scenarios held, from seed {report.first} on",
        f"  {report.virtual_days:.2f} virtual days, {report.blows} blows, {report.alarms} alarms, "
        f"{report.moved_steps} steps in {report.real_s:.0f} s",
    ]
    if report.violations:
        lines.append(f"  seed {report.seed} is BROKEN:")
        lines += [f"  - {text}" for text in report.violations]
        lines.append(f"  again: {report.again}")
    return lines


def _show(share: float) -> None:
    width = 40
    done = round(share * width)
    bar = "#" * done + "." * (width - done)
    click.echo(f"\r[{bar}] {share:4.0%}", nl=False, err=True)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
