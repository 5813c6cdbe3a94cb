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
    from appliance.simulate.run import Report
    from appliance.simulate.swarm import SwarmReport


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
@click.option("--seeds", type=click.IntRange(1, 10_000_000), help="With --swarm: so many at most.")
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
    as_json: bool,
) -> None:
    """Run SCENARIO.toml in virtual time and judge it after every event; needs no pump.

    Engine, stepper, guard, ledger and drivers are the pump's own, over the simulated bench. The
    same scenario and seed give the same ledger. Ends with 0 where every requirement held, 1 where
    one broke or the scenario is refused.

    \b
        pumpctl simulate docs/examples/month.toml
        pumpctl simulate docs/examples/month.toml --days 2 --seed 9 --json
        pumpctl simulate --swarm 0.5                draws scenarios for half an hour
        pumpctl simulate --swarm 0.5 --seed 417 --seeds 1    runs one of them again
    """
    from appliance.simulate.run import run
    from appliance.simulate.scenario import read

    _check(scenario, days=days, pulses=pulses, ledger=ledger, hours=hours, seeds=seeds)
    try:
        if hours is not None:
            _swarm(hours, seed or 1, seeds, as_json=as_json)
        elif scenario is not None:
            show = _show if sys.stderr.isatty() else None
            given = read(scenario)
            report = run(given, seed=seed, days=days, pulses=pulses, keep=ledger, progress=show)
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
) -> None:
    """Raise UsageError for words that do not go together."""
    if (scenario is None) is (hours is None):
        raise click.UsageError("give either SCENARIO or --swarm HOURS")
    if hours is not None and (days is not None or pulses or ledger is not None):
        raise click.UsageError(
            "--swarm draws everything itself: only --seed and --seeds go with it"
        )
    if hours is None and seeds is not None:
        raise click.UsageError("--seeds goes with --swarm")
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
    return lines + [f"  - {text}" for text in report.violations]


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
