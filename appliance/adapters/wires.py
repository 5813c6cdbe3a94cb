"""The three motor wires: SEQPACKET sockets that carry one record in each datagram and never
block.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from appliance.errors import AlreadyRunning, ProtocolFault, WireLost
from appliance.records import RECORD_BYTES, Record, Stop, decode, encode

_MAX_PATH_BYTES = 100
_BATCH = 256


class Wire:
    """One end of a motor wire. Sending is safe from any thread; reading belongs to one."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)  # noqa: FBT003 - the library takes it so
        self._socket = connection
        self._reset = False
        self.skipped = 0

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self._socket.fileno()

    def send(self, record: Record) -> bool:
        """Send without waiting; False where the socket was full, and the next total makes it good.

        Raises WireLost where the other end is gone.
        """
        try:
            self._socket.send(encode(record))
        except (BlockingIOError, InterruptedError):
            self.skipped += 1
            return False
        except OSError as error:
            raise WireLost(f"the other end is gone: {error.strerror}") from error
        return True

    def send_all(self, records: Sequence[Record]) -> None:
        """Send every record in order. Raises WireLost."""
        for record in records:
            self.send(record)

    def read(self) -> list[Record]:
        """Return every record that is here, at most a batch of them.

        Raises WireLost at the end of file once all that came before it has been returned, and
        ProtocolFault for bytes that are no record.
        """
        records: list[Record] = []
        while len(records) < _BATCH:
            try:
                data = self._socket.recv(RECORD_BYTES + 1)
            except (BlockingIOError, InterruptedError):
                return records
            except OSError as error:
                if isinstance(error, ConnectionResetError) and not self._reset:
                    # It left with mail of ours unread. Linux says so first, and once: what it
                    # sent before, its last words among it, is still to be read.
                    self._reset = True
                    continue
                if records:
                    return records
                raise WireLost(f"the other end is gone: {error.strerror}") from error
            if not data:
                if records:
                    return records
                raise WireLost("the other end has closed")
            records.append(decode(data))
        return records

    def close(self) -> None:
        """Close this end; the other one reads the end of file."""
        with contextlib.suppress(OSError):
            self._socket.close()


class StepperWire(Wire):
    """`pumpd`'s end to the stepper: counts the stops that it sends, from whatever thread.

    A stop goes out from the server's thread before the engine knows of it, and the count tells the
    stepper which programmes and leases were sent before it.
    """

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._lock = threading.Lock()
        self._stops = 0

    def stop_all(self) -> int:
        """Send a stop of everything and return how many there were. Raises WireLost."""
        with self._lock:
            if self.send(Stop(0)):
                self._stops += 1
            return self._stops


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new wire."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def connect(path: Path) -> socket.socket:
    """Connect to the guard's socket. Raises WireLost where nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise WireLost(f"{path}: {error.strerror}") from error
    return connection


def listen(path: Path, mode: int = 0o660) -> socket.socket:
    """Listen on ``path``; a dead socket is replaced, a living one or any other file is
    AlreadyRunning.
    """
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ProtocolFault(f"the socket path {path} is longer than {_MAX_PATH_BYTES} bytes")
    if path.exists():
        if not path.is_socket():
            raise AlreadyRunning(f"{path} is no socket, so it is not replaced: move it away")
        try:
            connect(path).close()
        except WireLost:
            path.unlink(missing_ok=True)
        else:
            raise AlreadyRunning(f"another program listens on {path}")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = os.umask(0o777 & ~mode)
    try:
        server.bind(str(path))
    finally:
        os.umask(before)
    server.listen(4)
    server.setblocking(False)  # noqa: FBT003 - the library takes it so
    return server
