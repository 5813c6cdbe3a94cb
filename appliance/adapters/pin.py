"""The PIN's hash, in a file of its own beside the ledger, for the pump's user alone.

It is no row of the ledger: a ledger is copied into backups and exports, and a PIN of six digits can
be found from its hash by trying. scrypt makes each try slow, tens of milliseconds; so it runs on a
thread of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

_N, _R, _P = 2**14, 8, 1
_SALT_BYTES = 16


class PinFile:
    """One hash with its salt; written whole, then put in place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self, pin: str) -> str:
        """Return "right", "wrong", or "missing" where there is no whole file."""
        try:
            kept = json.loads(self._path.read_text(encoding="ascii"))
            salt, digest = bytes.fromhex(kept["salt"]), bytes.fromhex(kept["hash"])
        except (OSError, ValueError, KeyError, TypeError):
            return "missing"
        return "right" if hmac.compare_digest(_hash(pin, salt), digest) else "wrong"

    def store(self, pin: str) -> str:
        """Keep a new PIN, durably; return "stored", or what the disk said."""
        salt = os.urandom(_SALT_BYTES)
        text = json.dumps({"salt": salt.hex(), "hash": _hash(pin, salt).hex()})
        fresh = self._path.with_suffix(".new")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(fresh, flags, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(self._path)
            self._sync_folder()
        except OSError as error:
            return f"the PIN cannot be kept: {error.strerror}"
        return "stored"

    def forget(self) -> str:
        """Drop the PIN; return "forgotten", or what the disk said."""
        try:
            self._path.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            return f"the PIN cannot be dropped: {error.strerror}"
        return "forgotten"

    def _sync_folder(self) -> None:
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class PinThread(threading.Thread):
    """Works on one PIN after the other; ``answer`` gets the token and the verdict."""

    def __init__(
        self,
        file: PinFile,
        answer: Callable[[int, str], None],
        died: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="pin", daemon=True)
        self._file, self._answer, self._died = file, answer, died
        self._jobs: queue.SimpleQueue[tuple[int, str, str] | None] = queue.SimpleQueue()

    def ask(self, token: int, verb: str, pin: str) -> None:
        """Have a PIN checked, stored or forgotten; safe from any thread."""
        self._jobs.put((token, verb, pin))

    def end(self) -> None:
        """End after what is asked already."""
        self._jobs.put(None)

    def run(self) -> None:
        """Work until told to end. A bug here ends the program."""
        try:
            while (job := self._jobs.get()) is not None:
                token, verb, pin = job
                match verb:
                    case "check":
                        verdict = self._file.check(pin)
                    case "store":
                        verdict = self._file.store(pin)
                    case _:
                        verdict = self._file.forget()
                self._answer(token, verdict)
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)


def _hash(pin: str, salt: bytes) -> bytes:
    return hashlib.scrypt(pin.encode("ascii"), salt=salt, n=_N, r=_R, p=_P)
