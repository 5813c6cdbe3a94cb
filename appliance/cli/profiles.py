"""Basal profiles: show, import, export, follow, copy, rename, delete."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from appliance.cli.session import (
    Exit,
    Session,
    end,
    print_json,
    safe,
    say,
    with_dir,
    with_json,
)
from appliance.client.errors import Refused
from appliance.client.messages import Basal, SegmentShown
from appliance.client.profiles import ProfileFile, nightscout_of, read_file, toml_of
from appliance.client.pump import PumpClient
from appliance.client.words import BENCH, MIN_PER_DAY, format_dose, format_rate, minute_words

_PROFILE_BYTES = 1_000_000


@click.group()
def basal() -> None:
    """Basal profiles: show them, import and export, follow one."""


@basal.command("show")
@click.argument("name", required=False)
@with_dir
@with_json
@click.pass_obj
def basal_show(session: Session, name: str | None, *, as_json: bool) -> None:
    """Show the profiles, or NAME alone, and which one is followed."""
    with session.pump() as pump:
        shown = pump.basal()
    if name is not None and name not in shown.profiles:
        _end_unknown(name, shown)
    if as_json:
        raw = dict(shown.raw)
        if name is not None:
            raw["profiles"] = {name: raw["profiles"][name]}
        print_json({"bench": True, **raw})
        return
    click.echo(f"{BENCH}  basal {format_rate(shown.rate_uu_per_h)} now")
    for known, segments in shown.profiles.items():
        if name in (None, known):
            followed = "  (followed)" if known == shown.active else ""
            click.echo(f"  {safe(known)}{followed}")
            for segment in segments:
                click.echo(f"    {segment_words(segment)}")
    if shown.active is None:
        click.echo("  no profile is followed: pumpctl basal use NAME")


def segment_words(segment: SegmentShown) -> str:
    """Say a segment in one line, with what it has for a calculator."""
    parts = [minute_words(segment.start_min_of_day), format_rate(segment.rate_uu_per_h)]
    ratio = segment.carb_ratio_mg_per_u
    if ratio is not None:
        parts.append(f"{ratio // 1_000}.{ratio % 1_000:03d}".rstrip("0").rstrip(".") + " g/U")
    if segment.sensitivity_mg_dl_per_u is not None:
        parts.append(f"{segment.sensitivity_mg_dl_per_u} mg/dL per U")
    if segment.target_mg_dl is not None:
        parts.append(f"target {segment.target_mg_dl} mg/dL")
    return "  ".join(parts)


@basal.command("list")
@with_dir
@with_json
@click.pass_obj
def basal_list(session: Session, *, as_json: bool) -> None:
    """List the profiles by name, with what a day of each asks for."""
    with session.pump() as pump:
        shown = pump.basal()
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "followed": name == shown.active,
            "segments": len(segments),
            "day_uu": _day_uu(segments),
        }
        for name, segments in shown.profiles.items()
    ]
    if as_json:
        print_json({"bench": True, "profiles": rows})
        return
    click.echo(f"{BENCH}  {len(rows) or 'no'} profile{'' if len(rows) == 1 else 's'}")
    for row in rows:
        followed = "  (followed)" if row["followed"] else ""
        name, day = safe(row["name"]), format_dose(row["day_uu"])
        click.echo(f"  {name:<22}{row['segments']:>3} segments  {day:>9} a day{followed}")


def _day_uu(segments: list[SegmentShown]) -> int:
    ends = [*(one.start_min_of_day for one in segments[1:]), MIN_PER_DAY]
    return (
        sum(
            (end - one.start_min_of_day) * one.rate_uu_per_h
            for one, end in zip(segments, ends, strict=True)
        )
        // 60
    )


@basal.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="Keep it under this name; of a Nightscout store, take this profile.")
@click.option("--replace", is_flag=True, help="Replace a profile of the same name.")
@click.option("--use", "use_it", is_flag=True, help="Follow it from now on.")
@click.option("--yes", is_flag=True, help="Answer the questions about nothing and large jumps.")
@with_dir
@click.pass_obj
def basal_import(
    session: Session, file: Path, *, name: str | None, replace: bool, use_it: bool, yes: bool
) -> None:
    """Import a profile from FILE: TOML, or JSON where its name ends in .json.

    \b
    name = "Day"
    [[segments]]
    start = "00:00"
    rate = "0.700"
    [[segments]]
    start = "06:30"
    rate = "0.850"
    carb_ratio = "12.5"      g/U       these three
    sensitivity = "50"       mg/dL/U   are for a
    target = "110"           mg/dL     calculator

    Rates are U/h, as text so that nothing is rounded. JSON with a "store" is Nightscout's.
    """
    with file.open("rb") as opened:
        raw = opened.read(_PROFILE_BYTES)
    read = read_file(raw, as_json=file.suffix.lower() == ".json", name=name)
    for note in read.notes:
        say(note)
    with session.pump() as pump:
        _import(pump, read, replace=replace, yes=yes)
        if use_it:
            pump.use_basal(read.name)
    followed = ", followed from now on" if use_it else f"; follow it: pumpctl basal use {read.name}"
    click.echo(safe(f"{BENCH}  imported {read.name}, {len(read.segments)} segments{followed}"))


def _import(pump: PumpClient, read: ProfileFile, *, replace: bool, yes: bool) -> None:
    """Import; where the pump asks whether it is meant, ask the person who is there."""
    try:
        pump.import_basal(read.name, read.segments, replace=replace, confirm=yes)
    except Refused as refused:
        asked = all(reason.code == "confirm" for reason in refused.reasons)
        if not asked or not sys.stdin.isatty():
            raise
        for reason in refused.reasons:
            say(f"  {reason.text}")
        if not click.confirm("Is that meant?", default=False):
            say("not confirmed: nothing was imported")
            end(Exit.REFUSED)
        pump.import_basal(read.name, read.segments, replace=replace, confirm=True)


@basal.command("export")
@click.argument("name", required=False)
@click.option("--nightscout", is_flag=True, help="As a Nightscout profile, all of them or NAME.")
@with_dir
@click.pass_obj
def basal_export(session: Session, name: str | None, *, nightscout: bool) -> None:
    """Write the profile NAME, or the one that is followed, so that import reads it again: TOML."""
    with session.pump() as pump:
        shown = pump.basal()
        duration_min = pump.insulin().duration_min if nightscout else None
    chosen = name or shown.active
    if name is not None and name not in shown.profiles:
        _end_unknown(name, shown)
    if nightscout:
        profiles = {name: shown.profiles[name]} if name else shown.profiles
        active = name or shown.active
        click.echo(json.dumps(nightscout_of(profiles, active, duration_min=duration_min), indent=2))
        return
    if chosen is None:
        say("refused: no profile is followed: name one")
        end(Exit.REFUSED)
    click.echo(f"# {BENCH}")
    click.echo(toml_of(chosen, shown.profiles[chosen]), nl=False)


def _end_unknown(name: str, shown: Basal) -> NoReturn:
    known = ", ".join(sorted(shown.profiles)) or "none"
    say(f"refused: no profile {name!r}; known: {known}")
    end(Exit.REFUSED)


@basal.command("use")
@click.argument("name")
@with_dir
@click.pass_obj
def basal_use(session: Session, name: str) -> None:
    """Follow the profile NAME from now on."""
    with session.pump() as pump:
        pump.use_basal(name)
    click.echo(safe(f"{BENCH}  follows {name}"))


@basal.command("copy")
@click.argument("name")
@click.argument("new_name", metavar="NEW")
@with_dir
@click.pass_obj
def basal_copy(session: Session, name: str, new_name: str) -> None:
    """Keep the profile NAME under the name NEW too."""
    with session.pump() as pump:
        pump.copy_basal(name, new_name)
    click.echo(safe(f"{BENCH}  copied {name} to {new_name}"))


@basal.command("rename")
@click.argument("name")
@click.argument("new_name", metavar="NEW")
@with_dir
@click.pass_obj
def basal_rename(session: Session, name: str, new_name: str) -> None:
    """Give the profile NAME the name NEW; where it is followed, it is still."""
    with session.pump() as pump:
        pump.rename_basal(name, new_name)
    click.echo(safe(f"{BENCH}  renamed {name} to {new_name}"))


@basal.command("delete")
@click.argument("name")
@with_dir
@click.pass_obj
def basal_delete(session: Session, name: str) -> None:
    """Forget the profile NAME; not the one that is followed."""
    with session.pump() as pump:
        pump.delete_basal(name)
    click.echo(safe(f"{BENCH}  deleted {name}"))
