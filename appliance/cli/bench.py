"""Verbs of the simulated bench: the plant's truth, and its faults."""

from __future__ import annotations

import re

import click

from appliance.cli.session import Session, print_json, safe, with_dir, with_json
from appliance.client.words import BENCH

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,12}")
_KEY = re.compile(r"[a-z][a-z0-9_]*")

Told = int | float | bool | str


class Setting(click.ParamType[tuple[str, Told]]):
    """One ``key=value`` of a fault."""

    name = "key=value"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Told]:
        """Read the key, and the value as a number, a truth or a text."""
        key, equals, text = str(value).partition("=")
        if not equals or not _KEY.fullmatch(key):
            self.fail(f"{safe(str(value))!r} is not key=value, such as every=10", param, ctx)
        if _INTEGER.fullmatch(text):
            return key, int(text)
        if _DECIMAL.fullmatch(text):
            return key, float(text)
        return key, {"true": True, "false": False}.get(text, text)


@click.group()
def bench() -> None:
    """The simulated bench: what really moved, and what can go wrong. Not on a real pump."""


@bench.command("status")
@with_dir
@with_json
@click.pass_obj
def bench_status(session: Session, *, as_json: bool) -> None:
    """Show the plant's own count: what really moved, whatever the programs believe."""
    with session.bench() as plant:
        truth = plant.status()
    if as_json:
        print_json(truth.raw)
        return
    click.echo(f"{BENCH}  the plant's truth")
    for key, said in truth.raw.items():
        click.echo(safe(f"  {key:<20}{said}"))


@bench.command("faults")
@with_dir
@with_json
@click.pass_obj
def bench_faults(session: Session, *, as_json: bool) -> None:
    """List the faults that can be injected, and which are active."""
    with session.bench() as plant:
        table, truth = plant.faults(), plant.status()
    active = truth.raw.get("faults", {})
    if as_json:
        print_json({"bench": True, "faults": table, "active": active})
        return
    click.echo(f"{BENCH}  {len(table)} faults: pumpctl bench inject NAME [key=value ...]")
    for fault in table:
        name = str(fault.get("name"))
        mark = "*" if name in active else " "
        click.echo(safe(f"{mark} {name:<22}{fault.get('row', ''):<5}{fault.get('text', '')}"))
        for key, parameter in dict(fault.get("parameters", {})).items():
            told = f"{key}={parameter.get('default')}  ({parameter.get('valid')})"
            click.echo(safe(f"{'':<31}{told}"))
    click.echo("  * active" if active else "  none is active")


@bench.command("inject")
@click.argument("name")
@click.argument("settings", nargs=-1, type=Setting())
@with_dir
@with_json
@click.pass_obj
def bench_inject(
    session: Session, name: str, settings: tuple[tuple[str, Told], ...], *, as_json: bool
) -> None:
    """Inject the fault NAME with key=value settings (see: pumpctl bench faults)."""
    _ask(session, "inject", {**dict(settings), "name": name}, as_json=as_json)


@bench.command("clear")
@click.argument("name", required=False)
@with_dir
@with_json
@click.pass_obj
def bench_clear(session: Session, name: str | None, *, as_json: bool) -> None:
    """Clear the fault NAME, or every fault."""
    _ask(session, "clear", {"name": name or "all"}, as_json=as_json)


@bench.command("occlude")
@with_dir
@with_json
@click.pass_obj
def bench_occlude(session: Session, *, as_json: bool) -> None:
    """Block the line: inject the fault "occlusion"."""
    _ask(session, "inject", {"name": "occlusion"}, as_json=as_json)


@bench.command("set")
@click.argument("settings", nargs=-1, required=True, type=Setting())
@with_dir
@with_json
@click.pass_obj
def bench_set(session: Session, settings: tuple[tuple[str, Told], ...], *, as_json: bool) -> None:
    """Change the plant by hand, such as syringe=out or battery_pct=20."""
    _ask(session, "set", dict(settings), as_json=as_json)


@bench.command("press")
@click.argument("settings", nargs=-1, type=Setting())
@with_dir
@with_json
@click.pass_obj
def bench_press(session: Session, settings: tuple[tuple[str, Told], ...], *, as_json: bool) -> None:
    """Press the stop button of the bench, for 100 ms or ms=N."""
    _ask(session, "press", dict(settings), as_json=as_json)


def _ask(session: Session, method: str, params: dict[str, Told], *, as_json: bool) -> None:
    with session.bench() as plant:
        said = plant.call(method, params)
    if as_json:
        print_json(said)
        return
    click.echo(f"{BENCH}  {method}")
    for key, shown in said.items():
        click.echo(safe(f"  {key:<20}{shown}"))
