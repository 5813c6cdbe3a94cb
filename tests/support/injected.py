"""A disk that fails under one thread of a running program: strace answers its calls."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_harness import wait_for


def ledger_thread(pid: int) -> int:
    """Return the kernel's number of `pumpd`'s ledger thread: the first that it starts."""
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))[1]


@contextlib.contextmanager
def injected(thread: int, folder: Path, *faults: str) -> Iterator[Path]:
    """Have each of ``faults``, such as "fdatasync:error=EIO:when=1+", happen to one thread.

    Yields the log of what it asked the kernel for; afterwards the disk is well again.
    """
    if shutil.which("strace") is None:
        pytest.skip("NOT RUN: strace is missing: apt-get install strace")
    log, errors = folder / "strace.log", folder / "strace.err"
    calls = ",".join(sorted({fault.partition(":")[0] for fault in faults}))
    words = ["strace", "-qq", "-p", str(thread), "-o", str(log), "-e", f"trace={calls}"]
    for fault in faults:
        words += ["-e", f"inject={fault}"]
    with errors.open("wb") as file:
        strace = subprocess.Popen(words, stdout=file, stderr=file)

    def attached() -> bool:
        if strace.poll() is not None:
            why = errors.read_text()
            if "Operation not permitted" in why:
                pytest.skip("NOT RUN: strace may not attach here: run as root")
            pytest.fail(f"strace ended: {why}")
        status = Path(f"/proc/{thread}/status").read_text()
        return f"TracerPid:\t{strace.pid}" in status

    try:
        wait_for(attached, "strace attaches")
        yield log
    finally:
        strace.terminate()
        try:
            strace.wait(10)
        except subprocess.TimeoutExpired:  # it waits for a call that it has put off
            strace.kill()
            strace.wait(10)
