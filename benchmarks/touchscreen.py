"""The touchscreen over the real pump, offscreen with software GL: start, rest, memory, taps, lists.

A panel's own time to show a frame is not in these rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from appliance.adapters.ledger import SqliteLedger
from benchmarks.programs import kib_of, running_demo, shares_of
from benchmarks.report import Result, not_run, percentile, us
from benchmarks.ten_years import ten_years

_START_S = 4.0
_REST_SHARE = 0.03
_MEMORY_MIB = 160.0
_TAP_MS = 100
_FRAME_MS = 33
_MIB_KIB = 1_024
_READY_S = 60.0
_SCROLL_MS = 100
_WORDS = [sys.executable, "-P", "-m", "ui", "--display=offscreen"]


def program(*, quick: bool) -> list[Result]:
    """The program itself: from its start to its first frame, at rest, and its memory."""
    seconds = 10.0 if quick else 30.0
    with running_demo(basal=True) as running, tempfile.TemporaryDirectory() as scratch:
        door_path = Path(scratch) / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.bind(str(door_path))
            door.settimeout(_READY_S)
            words = [*_WORDS, f"--dir={running.folder}"]
            environment = {**os.environ, "NOTIFY_SOCKET": str(door_path)}
            began_s = time.monotonic()
            shown = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
            try:
                door.recv(256)
                start_s = time.monotonic() - began_s
                time.sleep(3.0)  # what it does once is over
                rest = shares_of({"pump-ui": shown.pid}, seconds)["pump-ui"]
                mib = kib_of(shown.pid)["VmRSS"] / _MIB_KIB
            except TimeoutError:
                text = f"no frame within {_READY_S:.0f} s: are libGL and libEGL here?"
                return [not_run("screen.start", "start of the touchscreen", "< 4 s", text)]
            finally:
                shown.kill()
                shown.wait()
    return [
        Result(
            "screen.start",
            "touchscreen, from its start to its first frame",
            f"{start_s:.2f} s",
            "",
            "",
            "",
            f"< {_START_S:g} s",
            start_s < _START_S,
        ),
        Result(
            "screen.rest",
            f"share of a core of the touchscreen while basal runs, {seconds:g} s",
            f"{rest:.2%}",
            "",
            "",
            "",
            f"< {_REST_SHARE:.0%}",
            rest < _REST_SHARE,
        ),
        Result(
            "screen.memory",
            "resident memory of the touchscreen, software GL included",
            f"{mib:.1f} MiB",
            "141 MB (Kivy with a window)",
            "",
            "",
            f"< {_MEMORY_MIB:g} MiB",
            mib < _MEMORY_MIB,
        ),
    ]


def tap(*, quick: bool) -> list[Result]:
    """From a touch on a key to the pixels that show its digit, read back from the window."""
    taps = 60 if quick else 300
    with running_demo(basal=True) as running:
        words = [sys.executable, "-P", "-m", "benchmarks.tap_probe", str(running.folder), str(taps)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        return [not_run("tap", "tap to pixels", "< 100 ms", done.stderr.strip()[-300:])]
    samples = json.loads(done.stdout)
    worst_ns, middle_ns = percentile(samples, 0.99), percentile(samples, 0.5)
    return [
        Result(
            "tap",
            f"touch on a key to its pixels, p99 of {len(samples)} (p50 {us(middle_ns)})",
            us(worst_ns),
            f"{_FRAME_MS} ms (one frame at 30 a second)",
            "",
            f"{worst_ns / 1e6 / _FRAME_MS:.1f}",
            f"< {_TAP_MS} ms",
            worst_ns < _TAP_MS * 1_000_000,
        )
    ]


def scroll(*, quick: bool) -> list[Result]:
    """History of ten years under a finger that drags and throws it, page after page."""
    what, goal = "list of ten years' history under a finger", "no frame over 100 ms"
    frames, path = 400 if quick else 4_000, ten_years()
    with (
        running_demo(basal=True) as running,
        tempfile.TemporaryDirectory(prefix="bp-") as folder,
        contextlib.closing(SqliteLedger(path)),  # a writer has the file, as `pumpd` would
    ):
        runtime = Path(folder)
        for name in ("pumpd.sock", "bench.sock"):
            (runtime / name).symlink_to(running.places.runtime / name)
        words = [sys.executable, "-P", "-m", "benchmarks.history_door", str(path)]
        door = subprocess.Popen(
            [*words, str(runtime / "keeper.sock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert door.stdout is not None
            door.stdout.readline()
            words = [sys.executable, "-P", "-m", "benchmarks.scroll_probe", folder, str(frames)]
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
        finally:
            door.communicate()  # its input ends, and so does it
    if done.returncode:
        return [not_run("scroll", what, goal, done.stderr.strip()[-300:])]
    found = json.loads(done.stdout.splitlines()[-1])
    samples = found["frames_ns"]
    worst_ns, late = max(samples), sum(one > _SCROLL_MS * 1_000_000 for one in samples)
    return [
        Result(
            "scroll",
            f"{what}, worst of {len(samples):,} frames, {found['rows']:,} rows passed",
            us(worst_ns),
            f"{_FRAME_MS} ms (one frame at 30 a second)",
            "",
            f"{worst_ns / 1e6 / _FRAME_MS:.1f}",
            goal,
            late == 0,
            f"p50 {us(percentile(samples, 0.5))}, p99 {us(percentile(samples, 0.99))}; {late} over"
            f" {_SCROLL_MS} ms; a list ends after 10,000 rows",
        )
    ]
