"""Taking records away from the pump: onto a stick that is plugged in, or into a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from appliance.errors import LedgerFault
from appliance.keeper.export import Exporter
from appliance.keeper.queries import date_of
from appliance.keeper.rollup import Look

HERE = "here"
"""The target that is always there: the keeper's own folder."""

_MEDIA = (Path("/media"), Path("/run/media"))
_DEPTH = 2
_MOST = 1_000


def targets(own: Path, media: tuple[Path, ...] = _MEDIA) -> dict[str, Path]:
    """Return where an export may go, by name: "here", and every stick that can be written."""
    return {HERE: own / "exports"} | {path.name: path for path in _sticks(media)}


def _sticks(media: tuple[Path, ...]) -> Iterator[Path]:
    found = list(media)
    for _ in range(_DEPTH):
        deeper = []
        for folder in found:
            try:
                deeper += [path for path in sorted(folder.iterdir()) if path.is_dir()]
            except OSError:
                continue  # it is not there, or is not ours to look into
        for path in deeper:
            if os.path.ismount(path) and os.access(path, os.W_OK):
                yield path
        found = deeper


def take_away(
    sums: Path, root: Path, day: int, *, days: int, pump: str, costs: Mapping[str, object]
) -> str:
    """Write every export and a report of ``days`` into a new folder under ``root``; say where.

    ``sums`` is the keeper's database. Raises OSError, sqlite3.Error, LedgerFault.
    """
    from appliance.keeper.report import Prices, Report  # it costs 60 MB, and is rarely asked for

    root.mkdir(mode=0o750, exist_ok=True)
    folder = _new_folder(root, date_of(day))
    with Look(sums) as look:
        files = Exporter(look).write(folder)
        prices = Prices(**costs)  # type: ignore[arg-type]
        Report(look, pump, prices).write(folder / "report.pdf", day, days)
    for path in (*files, folder / "report.pdf"):  # a stick is pulled soon
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return f"{len(files) + 1} files in {folder}"


def write_report(
    sums: Path, folder: Path, day: int, *, days: int, pump: str, costs: Mapping[str, object]
) -> str:
    """Write one report into a folder, and say where. Raises OSError, sqlite3.Error."""
    from appliance.keeper.report import Prices, Report  # as above

    folder.mkdir(mode=0o750, exist_ok=True)
    path = folder / f"report-{date_of(day)}.pdf"
    with Look(sums) as look:
        prices = Prices(**costs)  # type: ignore[arg-type]
        pages = Report(look, pump, prices).write(path, day - 1, days)
    return f"{pages} pages in {path}"


def _new_folder(root: Path, name: str) -> Path:
    for number in range(1, _MOST):
        folder = root / (f"benchpump-{name}" + (f"-{number}" if number > 1 else ""))
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise LedgerFault(f"{root} holds {_MOST} exports of {name} already")
