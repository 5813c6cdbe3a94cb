"""The export in a program of its own: ``python -m benchmarks.export_memory DAYS FOLDER``.

Prints what memory was resident before it and at most, and how much was written, as JSON. Nothing
else is imported here, so that the memory is the export's.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path

from appliance.keeper.export import Exporter
from benchmarks.ten_years import summed


def main() -> None:
    """Export, and say what it took."""
    days, folder = int(sys.argv[1]), Path(sys.argv[2]) / "out"
    with closing(summed(days)) as rollup:
        exporter = Exporter(rollup)
        (readings,) = rollup.db.execute("SELECT count(*) FROM readings").fetchone()
        before_kib = _status_kib("VmRSS")
        begun_s = time.perf_counter()
        exporter.write(folder)
        took_s = time.perf_counter() - begun_s
        most_kib = _status_kib("VmHWM")
    written = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    said = {"before_kib": before_kib, "peak_kib": max(before_kib, most_kib), "bytes": written}
    print(json.dumps({**said, "seconds": took_s, "readings": readings}))


def _status_kib(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
