"""Sources of glucose: plug-ins, one small class each, found by their entry points.

A plug-in is a class named in the entry-point group ``benchpump.glucose_sources``. It is made with
its options and a ``Place``, and asked again and again by one thread of its own. All of them are off
until ``keeper.toml`` says otherwise.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from appliance.errors import BadConfiguration, SourceFault
from appliance.ports import Clock

GROUP = "benchpump.glucose_sources"


@dataclass(frozen=True, slots=True)
class Found:
    """One reading of a sensor: the source's own id for it, and its instant by the pump's clock."""

    id: str
    mg_dl: int
    utc_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source is: its name, the pump's clock, and the folders of state and sockets."""

    name: str
    clock: Clock
    state: Path
    runtime: Path
    concentration_u_per_ml: int = 100


class Source(Protocol):
    """A source of glucose. Its own thread alone uses it."""

    def poll(self) -> Sequence[Found]:
        """Return the readings that may be new, oldest first; what was told before may be again.

        May block for as long as a server takes, at most a minute. Raises SourceFault where there is
        no answer now, and is asked again later.
        """
        ...

    def pause_s(self) -> float:
        """Return after how many real seconds to ask again, where all is well."""
        ...


class SourceKind(Protocol):
    """A plug-in: what makes a source of its options."""

    def __call__(self, options: Mapping[str, Any], place: Place) -> Source:
        """Make a source. Raises BadConfiguration for options that cannot be."""
        ...


def kinds() -> dict[str, str]:
    """Return every plug-in that is installed: its name, and where it is."""
    return {one.name: one.value for one in entry_points(group=GROUP)}


def make(kind: str, options: Mapping[str, Any], place: Place) -> Source:
    """Make a source. Raises BadConfiguration for an unknown kind, and for one that is not here."""
    found = [one for one in entry_points(group=GROUP) if one.name == kind]
    if not found:
        known = ", ".join(sorted(kinds())) or "none"
        text = f"source.kind = {kind!r} is not installed; known: {known}"
        raise BadConfiguration(place.name, [text])
    try:
        loaded: SourceKind = found[0].load()
    except ImportError as error:
        text = f"source.kind = {kind!r} needs {error.name}: pip install 'benchpump[{kind}]'"
        raise BadConfiguration(place.name, [text]) from error
    return loaded(options, place)


class Options:
    """The options of one source, taken one by one: what is left over is a fault."""

    def __init__(self, options: Mapping[str, Any], place: Place) -> None:
        self._left = dict(options)
        self._name = place.name

    def text(self, name: str, default: str | None = None) -> str:
        """Take a text. Raises BadConfiguration."""
        value = self._left.pop(name, default)
        if not isinstance(value, str) or not value:
            raise self._fault(f"{name} = {value!r}: a text is needed")
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Take a whole number. Raises BadConfiguration."""
        value = self._left.pop(name, default)
        if type(value) is not int or not low <= value <= high:
            raise self._fault(f"{name} = {value!r} is out of range: {low} to {high}")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Take a number. Raises BadConfiguration."""
        value = self._left.pop(name, default)
        if type(value) not in (int, float) or not low <= value <= high:
            raise self._fault(f"{name} = {value!r} is out of range: {low} to {high}")
        return float(value)

    def one_of(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """Take one of some texts. Raises BadConfiguration."""
        value = self._left.pop(name, default)
        if value not in allowed:
            raise self._fault(f"{name} = {value!r} is not one of {', '.join(allowed)}")
        return str(value)

    def many(self, name: str) -> list[Mapping[str, Any]]:
        """Take a list of tables. Raises BadConfiguration."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or any(not isinstance(one, dict) for one in value):
            raise self._fault(f"{name} is not a list of tables")
        return value

    def end(self) -> None:
        """Refuse what nobody took. Raises BadConfiguration."""
        if self._left:
            raise self._fault(f"{', '.join(sorted(self._left))}: no such option")

    def _fault(self, text: str) -> BadConfiguration:
        return BadConfiguration(f"source {self._name}", [text])


def credentials(path: Path, *names: str) -> dict[str, str]:
    """Read ``name = value`` lines from a file that nobody else may read.

    Raises BadConfiguration where it belongs to another user than root or this one, where a group or
    others may read or write it, or where a name is missing.
    """
    source = str(path)
    try:
        status = path.stat()
        if status.st_uid not in (0, os.geteuid()):
            raise BadConfiguration(source, [f"belongs to user {status.st_uid}: root's is needed"])
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise BadConfiguration(source, ["others may read or write it: chmod 600"])
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadConfiguration(source, [f"cannot be read: {error.strerror}"]) from error
    pairs = [line.partition("=") for line in lines if line.strip() and not line.startswith("#")]
    found = {name.strip(): value.strip() for name, _, value in pairs}
    missing = [name for name in names if not found.get(name)]
    if missing:
        raise BadConfiguration(source, [f"has no {name} = ..." for name in missing])
    return found


def checked(id_: str, mg_dl: object, utc_ns: int, where: str) -> Found:
    """Return a reading that a pump can take. Raises SourceFault for one that cannot be."""
    if type(mg_dl) is not int or not 20 <= mg_dl <= 600:
        raise SourceFault(f"{where}: glucose = {mg_dl!r} is no whole number of 20 to 600 mg/dL")
    if not id_ or len(id_) > 64 or not id_.isprintable():
        raise SourceFault(f"{where}: id = {id_[:80]!a} is no id of 1 to 64 characters")
    return Found(id_, mg_dl, utc_ns)
