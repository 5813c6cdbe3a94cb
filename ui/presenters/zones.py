"""The time zones that this machine has tables of, as a person looks for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from zoneinfo import available_timezones

from ui.words import _

AREAS: Mapping[str, Callable[[], str]] = {
    "Europe": lambda: _("Europe"),
    "America": lambda: _("America"),
    "Asia": lambda: _("Asia"),
    "Africa": lambda: _("Africa"),
    "Australia": lambda: _("Australia"),
    "Pacific": lambda: _("Pacific"),
    "Atlantic": lambda: _("Atlantic"),
    "Indian": lambda: _("Indian Ocean"),
    "Antarctica": lambda: _("Antarctica"),
    "UTC": lambda: "UTC",
}
"""The parts of the world as the tz database names them, each with its words."""


@cache
def _known() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def areas() -> list[str]:
    """Return the parts of the world that have a zone here."""
    found = {zone.partition("/")[0] for zone in _known()}
    return [area for area in AREAS if area in found]


def zones_of(area: str) -> list[tuple[str, str]]:
    """Return the zones of a part of the world: its name, and its place as it is read."""
    places = [zone for zone in _known() if zone.startswith(f"{area}/")]
    return [(zone, zone.partition("/")[2].replace("_", " ").replace("/", ", ")) for zone in places]
