"""The ledger's thread: the one connection, its queue, and what an error of the disk means.

An error means *unknown*. The batch stays at the head of the queue: the file is opened anew and
looked into, and only where the rows are not there are they appended again. Nothing overtakes it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.adapters.ledger import SqliteLedger
from appliance.errors import BrokenChain, LedgerFault, LedgerUnknown
from appliance.ports import Entry, Row

_RETRY_S = 0.5
_FREE_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Append:
    """Make a batch durable."""

    batch: int
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Find the rows of a request."""

    token: int
    request_id: str


@dataclass(frozen=True, slots=True)
class CompareHead:
    """Hold a head that was kept elsewhere against the file."""

    seq: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """Write, sync and read back beside the ledger."""


Job = Append | Lookup | CompareHead | SelfCheck


class HeadTold(Protocol):
    """Hears whether a head that was kept elsewhere is in the file, and if not, why."""

    def __call__(self, *, ok: bool, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """Where the thread tells what became of a job; each is safe to call from its thread."""

    written: Callable[[int, Sequence[Row]], None]
    trouble: Callable[[int, str], None]
    refused: Callable[[int, str], None]
    found: Callable[[int, Sequence[Row]], None]
    lost: Callable[[int, str], None]
    head: HeadTold
    checked: Callable[[Sequence[str]], None]
    died: Callable[[BaseException], None]


class LedgerThread(threading.Thread):
    """Works its queue in order until it is told to end."""

    def __init__(self, ledger: SqliteLedger, answers: Answers) -> None:
        super().__init__(name="ledger")
        self._ledger = ledger
        self._answers = answers
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._ending = threading.Event()

    def put(self, job: Job) -> None:
        """Queue a job; safe from any thread, never waits."""
        self._jobs.put(job)

    def end(self) -> None:
        """Work off what is queued, close the file and end; a broken disk is not waited for."""
        self._ending.set()
        self._jobs.put(None)
        self.join(10.0)

    def run(self) -> None:
        """Work the queue. A bug here ends the program."""
        try:
            while (job := self._jobs.get()) is not None:
                self._work(job)
            self._ledger.close()
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._answers.died(error)

    def _work(self, job: Job) -> None:
        match job:
            case Append(batch, entries):
                self._append(batch, entries)
            case Lookup(token, request_id):
                try:
                    self._answers.found(token, self._ledger.find_request(request_id))
                except LedgerFault as error:
                    self._answers.lost(token, str(error))
            case CompareHead(seq, digest):
                self._compare(seq, digest)
            case SelfCheck():
                self._answers.checked(self._ledger.self_check(_FREE_BYTES))

    def _append(self, batch: int, entries: Sequence[Entry]) -> None:
        try:
            rows: Sequence[Row] | None = self._ledger.append(entries)
        except ValueError as error:
            self._answers.refused(batch, str(error))
            return
        except LedgerUnknown as error:
            self._answers.trouble(batch, str(error))
            rows = None
        while rows is None:
            try:
                rows = self._ledger.settle(entries)
                if rows is None:
                    rows = self._ledger.append(entries)
            except BrokenChain as error:
                # Another file is in its place: nothing may be added to a history that is not ours.
                self._answers.died(error)
                return
            except LedgerFault:
                if self._ending.wait(_RETRY_S):
                    return
        self._answers.written(batch, rows)

    def _compare(self, seq: int, digest: bytes) -> None:
        try:
            self._ledger.check_chain(seq, digest)
        except BrokenChain as error:
            self._answers.head(
                ok=False, text=f"the guard remembers a later or another history: {error}"
            )
        except LedgerFault as error:
            self._answers.head(ok=False, text=str(error))
        else:
            self._answers.head(ok=True, text="")
