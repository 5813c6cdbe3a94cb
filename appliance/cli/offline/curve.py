"""``pumpctl curve``: how long insulin acts, by any of the models."""

from __future__ import annotations

import json

import click

from appliance.cli.session import DoseType, safe, with_json
from appliance.client.words import BENCH, in_words, parse_ago_s
from appliance.domain.insulin import MODELS, Curve, Exponential, curve_of

_BAR = 40


MINUTES = DoseType(lambda text: parse_ago_s(text) // 60)


@click.command("curve")
@click.argument("model", type=click.Choice(MODELS))
@click.option("--duration", "duration_min", type=MINUTES, metavar="TIME", help='Such as "6h".')
@click.option(
    "--peak", "peak_min", type=MINUTES, metavar="TIME", help='Exponential: such as "75m".'
)
@click.option(
    "--delay",
    "delay_min",
    type=MINUTES,
    metavar="TIME",
    help='Exponential and walsh: a dose counts in full for so long, such as "10m".',
)
@click.option("--every", "every_min", type=MINUTES, metavar="TIME", default="5m", show_default=True)
@with_json
def curve(
    model: str,
    *,
    duration_min: int | None,
    peak_min: int | None,
    delay_min: int | None,
    every_min: int,
    as_json: bool,
) -> None:
    """Show what is left of a dose over time, by MODEL; needs no pump.

    rapid, child, fast, ultra-rapid, lyumjev and inhaled are exponential curves with their own
    duration and peak; exponential needs both, bilinear, walsh and linear a duration. With --json
    it is a list of {"t_min", "left"}: minutes, and the share still to act.
    """
    if every_min < 1:
        raise click.BadParameter("at least 1m", param_hint="'--every'")
    chosen = curve_of(model, duration_min=duration_min, peak_min=peak_min, delay_min=delay_min)
    times = [*range(0, chosen.end_min, every_min), chosen.end_min]
    if as_json:
        click.echo(json.dumps([{"t_min": t, "left": chosen.left(t)} for t in times], indent=1))
        return
    peak = f", peak after {chosen.peak_min} min" if isinstance(chosen, Exponential) else ""
    click.echo(f"{BENCH}  {model}{peak}: nothing is left after {in_words(chosen.end_min * 60)}")
    click.echo("    min     left  acting")
    for t in times:
        click.echo(safe(_row(chosen, t)))


def _row(chosen: Curve, t_min: int) -> str:
    left = chosen.left(t_min)
    # The share that acts in an hour at this pace: easier to read than that of a minute.
    pace = chosen.activity(t_min) * 60
    return f"  {t_min:>5}  {left:7.2%}  {pace:5.1%}/h  {'#' * round(left * _BAR)}".rstrip()
