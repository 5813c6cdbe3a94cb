"""The keeper: its jobs, how far its database is, its sources of glucose."""

from __future__ import annotations

import click

from appliance.cli.session import Exit, Session, end, print_json, safe, with_dir, with_json
from appliance.client.messages import JobShown
from appliance.client.words import BENCH, MIN_PER_DAY, minute_words, time_words


class KeeperGroup(click.Group):
    """Shows the keeper where no verb is named: "keeper" is "keeper show"."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; an option in its place belongs to ``show``."""
        if args and args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=KeeperGroup, invoke_without_command=True)
@click.pass_context
def keeper(context: click.Context) -> None:
    """The housekeeper: "keeper" or "keeper show" lists its jobs, "keeper run backup" does one."""
    if context.invoked_subcommand is None:
        context.invoke(keeper_show)


@keeper.command("show")
@with_dir
@with_json
@click.pass_obj
def keeper_show(session: Session, *, as_json: bool = False) -> None:
    """Show its jobs and when each was done, its database, and its sources of glucose.

    Ends with 1 where the last try of a job failed.
    """
    with session.keeper() as client:
        shown = client.keeper()
    if as_json:
        print_json({"bench": True, **shown.raw})
    else:
        click.echo(f"{BENCH}  pump-keeper: row {shown.seq} of {shown.head_seq} taken in")
        for job in shown.jobs:
            click.echo("  " + job_line(job))
        for link in shown.links:
            click.echo(
                "  " + safe(f"link {link.get('name')}: {link.get('state')}: {link.get('text')}")
            )
        for source in shown.sources:
            click.echo("  " + safe(f"source {source.get('name')}: {source.get('text')}"))
    end(Exit.REFUSED if any(job.ok is False for job in shown.jobs) else Exit.DONE)


def job_line(job: JobShown) -> str:
    """Say one job in one line."""
    at = f"at {minute_words(job.at_min)}" if job.at_min < MIN_PER_DAY else "if asked"
    line = f"{job.name:<10} {at}  "
    if job.ok is None:
        return line + "not done yet"
    line += f"done for {job.done_date}" if job.ok else "FAILED"
    return safe(f"{line}, tried {time_words(job.tried_utc_ns)} UTC, {job.took_ms} ms: {job.text}")


@keeper.command("run")
@click.argument("job")
@with_dir
@click.pass_obj
def keeper_run(session: Session, job: str) -> None:
    """Have JOB done now: summary, check, backup or retention. "keeper" shows what came of it."""
    with session.keeper() as client:
        client.run_job(job)
    click.echo(f"{BENCH}  {safe(job)} is on its way")


@keeper.command("export")
@click.argument("target", default="here")
@with_dir
@click.pass_obj
def keeper_export(session: Session, target: str) -> None:
    """Have everything exported, with a report: into its folder, or onto a stick by name."""
    with session.keeper() as client:
        client.export(target)
    click.echo(f"{BENCH}  the export is on its way: pumpctl keeper says where it went")
