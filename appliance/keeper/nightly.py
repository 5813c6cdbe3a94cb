"""The daily full check of the ledger (SR-41), and where its result goes: into the guard's file.

A start of `pumpd` checks the chain from the row that this check has passed on. So what rots in
the rows before it is found here. The mark is then taken back: the next start checks every row, and
stays down on the one that is wrong.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from appliance.adapters.guard_door import name_checked_row
from appliance.adapters.ledger import LedgerReader
from appliance.errors import BrokenChain, LedgerFault, WireLost

FIRST_S = 300.0
"""After a start the programs have the computer to themselves."""
EVERY_S = 86_400.0
AGAIN_S = 3_600.0
_LEAST_PRIORITY = 19
_log = logging.getLogger("pump-keeper")


def full_check(ledger: Path, guard: Path) -> bool:
    """Check every row, and tell the guard at the socket ``guard`` how far; return whether that was
    possible. Raises nothing: what went wrong is in the log.
    """
    try:
        with closing(LedgerReader(ledger)) as reader:
            row: tuple[int, bytes] | None = reader.check_chain()
    except BrokenChain as fault:
        _log.critical("the ledger %s is broken at row %d: %s", ledger, fault.seq, fault)
        row = None
    except LedgerFault as fault:
        _log.error("%s: %s", fault.code, fault)
        return False
    try:
        name_checked_row(guard, row)
    except WireLost as error:
        _log.error("the guard cannot be told of the full check: %s", error)
        return False
    if row is not None:
        _log.info("full check: %d rows, every one follows from the last", row[0])
    return True


class NightlyThread(threading.Thread):
    """Runs the full check once a day, at the least priority; again in an hour where it failed."""

    def __init__(
        self,
        check: Callable[[], bool],
        died: Callable[[BaseException], None],
        first_s: float = FIRST_S,
    ) -> None:
        super().__init__(name="nightly", daemon=True)
        self._check, self._died, self._first_s = check, died, first_s
        self._ending = threading.Event()

    def end(self) -> None:
        """End; a check that runs is not waited for: it only reads."""
        self._ending.set()

    def run(self) -> None:
        """Wait and check until told to end. A bug here ends the program."""
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_PRIORITY)
            pause_s = self._first_s
            while not self._ending.wait(pause_s):
                pause_s = EVERY_S if self._check() else AGAIN_S
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)
