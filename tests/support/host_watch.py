"""Watches for moments in which this computer kept a program that was due from running.

Run by the tests as a program of its own, pinned to one processor each and at real-time priority
where the kernel grants it: it is late only where the computer stood still, or where an ordinary
user's programs have to wait for others. A stall is one line on the standard output: the monotonic
instant of its end in ns, and its length in ns. It ends with the program that started it.
"""

import contextlib
import os
import sys
import time

_NAP_NS = 4_000_000
_STALL_NS = 20_000_000
_FIFO_PRIORITY = 90


def watch(processor: int, parent: int) -> None:
    """Nap, and write down every nap that took too long."""
    os.sched_setaffinity(0, {processor})
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_PRIORITY))
    before_ns = time.monotonic_ns()
    while os.getppid() == parent:
        time.sleep(_NAP_NS / 1e9)
        now_ns = time.monotonic_ns()
        late_ns = now_ns - before_ns - _NAP_NS
        if late_ns >= _STALL_NS:
            os.write(sys.stdout.fileno(), f"{now_ns} {late_ns}\n".encode())
        before_ns = now_ns


if __name__ == "__main__":
    watch(int(sys.argv[1]), int(sys.argv[2]))
