"""The curve by which the pump works out insulin on board."""

from __future__ import annotations

import click

from appliance.cli.session import DoseType, Session, print_json, safe, with_dir, with_json
from appliance.client.words import BENCH, in_words, parse_ago_s

MINUTES = DoseType(lambda text: parse_ago_s(text) // 60)


@click.group()
def insulin() -> None:
    """The insulin curve: how long a dose counts as on board."""


@insulin.command("show")
@with_dir
@with_json
@click.pass_obj
def insulin_show(session: Session, *, as_json: bool) -> None:
    """Show the curve that the pump takes."""
    with session.pump() as pump:
        shown = pump.insulin()
    if as_json:
        print_json({"bench": True, **shown.raw})
        return
    times = (("peak after", shown.peak_min), ("delay", shown.delay_min))
    parts = [f"{shown.model}: acts for {in_words(shown.duration_min * 60)}"]
    parts += [f"{name} {in_words(minutes * 60)}" for name, minutes in times if minutes]
    parts += [] if shown.set else ["what a pump begins with"]
    click.echo(safe(f"{BENCH}  {', '.join(parts)}"))


@insulin.command("set")
@click.argument("model")
@click.option("--duration", "duration_min", type=MINUTES, metavar="TIME", help='Such as "6h".')
@click.option("--peak", "peak_min", type=MINUTES, metavar="TIME", help='Such as "75m".')
@click.option("--delay", "delay_min", type=MINUTES, metavar="TIME", help='Such as "10m".')
@with_dir
@click.pass_obj
def insulin_set(
    session: Session,
    model: str,
    *,
    duration_min: int | None,
    peak_min: int | None,
    delay_min: int | None,
) -> None:
    """Take MODEL from now on; what was delivered before counts by it as well.

    rapid, child, fast, ultra-rapid, lyumjev and inhaled have a duration and a peak of their own;
    exponential needs both, bilinear, walsh and linear a duration.
    """
    with session.pump() as pump:
        pump.set_insulin(model, duration_min=duration_min, peak_min=peak_min, delay_min=delay_min)
    click.echo(safe(f"{BENCH}  insulin on board by {model}"))
