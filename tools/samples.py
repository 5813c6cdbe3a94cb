#!/usr/bin/env python3
"""Make docs/samples anew: a fortnight of three virtual patients, its reports and its exports.

    tools/samples.py [FOLDER]

Each fortnight is a scenario of docs/examples, run in virtual time by the pump's own programs and
judged to its end. Of every patient there are the PDF and the days; of the first the whole export,
as one zip. The same code gives the same days. It takes some minutes. Look at what comes out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from appliance.cli.offline.simulate import course_line  # noqa: E402
from appliance.keeper.export import Exporter  # noqa: E402
from appliance.keeper.report import Report  # noqa: E402
from appliance.keeper.rollup import Rollup  # noqa: E402
from appliance.simulate.run import run  # noqa: E402
from appliance.simulate.scenario import read  # noqa: E402

FORTNIGHTS = ("fortnight", "fortnight-child", "fortnight-teenager")
"""The scenarios, and what their samples are called. The whole export is of the first."""
_NO_INSTANT = (1980, 1, 1, 0, 0, 0)
"""No instant of its making is in the zip; the earliest that the format has stands in its place."""


def main() -> int:
    """Make every sample; return 1 where a requirement broke in a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "samples")
    out = parser.parse_args().folder
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bp-samples-") as scratch:
        for name in FORTNIGHTS:
            if not _sample(name, Path(scratch), out):
                return 1
    return 0


def _sample(name: str, scratch: Path, out: Path) -> bool:
    scenario = read(ROOT / "docs" / "examples" / f"{name}.toml")
    ledger = scratch / f"{name}.db"
    report = run(scenario, keep=ledger)
    print(f"{name}: {report.rows} rows, {report.real_s:.0f} s; {report.boluses}")
    for way, course in report.courses.items():
        print(course_line(way, course))
    for text in report.violations:
        print(f"  BROKEN: {text}")
    if report.violations:
        return False
    with closing(Rollup(scratch / f"{name}-sums.db", ledger)) as rollup:
        rollup.follow_to_the_end()
        # The ledger ends a little after the last midnight: that day is none.
        pages = Report(rollup, f"Benchpump, {scenario.name}").write(
            out / f"{name}.pdf", rollup.last_day() - 1, int(scenario.days)
        )
        taken = scratch / name
        Exporter(rollup).write(taken)
    print(f"  {pages} pages; {sum(one.stat().st_size for one in _files(taken)) // 1_024} KiB")
    (out / f"{name}-days.csv").write_bytes((taken / "days.csv").read_bytes())
    if name == FORTNIGHTS[0]:
        (out / "data-dictionary.csv").write_bytes((taken / "data-dictionary.csv").read_bytes())
        _zipped(taken, out / f"{name}-export.zip")
    return True


def _files(folder: Path) -> list[Path]:
    return sorted(one for one in folder.rglob("*") if one.is_file())


def _zipped(folder: Path, path: Path) -> None:
    """Pack a folder; the same content gives the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for one in _files(folder):
            info = zipfile.ZipInfo(str(Path(folder.name) / one.relative_to(folder)), _NO_INSTANT)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            packed.writestr(info, one.read_bytes())


if __name__ == "__main__":
    sys.exit(main())
