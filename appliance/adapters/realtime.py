"""Real time from the kernel: priority, locked memory, the collector off, and dying with the
parent.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
from dataclasses import dataclass

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29
_SIGKILL = 9


@dataclass(frozen=True, slots=True)
class Granted:
    """What the kernel gave; ``refusal_errno`` is the first refusal's, or 0."""

    fifo: bool
    memory_locked: bool
    refusal_errno: int

    def text(self) -> str:
        """Say it in a sentence."""
        if self.fifo and self.memory_locked:
            return "real-time priority and locked memory granted"
        refused = [
            name
            for name, granted in (
                ("real-time priority", self.fifo),
                ("locked memory", self.memory_locked),
            )
            if not granted
        ]
        return f"{' and '.join(refused)} refused ({os.strerror(self.refusal_errno)})"


def take_realtime(fifo_priority: int) -> Granted:
    """Ask for SCHED_FIFO on this thread, lock memory as it is touched, freeze the collector.

    A refusal is reported, never hidden. MCL_ONFAULT keeps the process at its real size.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    refusal = 0
    libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    locked = libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0
    if not locked:
        refusal = ctypes.get_errno()
    fifo = True
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(fifo_priority))
    except OSError as error:
        fifo = False
        refusal = refusal or (error.errno or errno.EPERM)
    gc.collect()
    gc.freeze()
    gc.disable()
    return Granted(fifo, locked, refusal)


def die_with_parent(parent_pid: int) -> bool:
    """Have the kernel kill this process when its parent's starting thread ends.

    Returns False where the parent is gone already: the caller ends itself.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    return os.getppid() == parent_pid
