"""Listening sockets of the bench: one owner for a path, and no path that nobody could open."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from appliance.errors import AlreadyRunning
from drivers.bench_wire import checked_path

_BACKLOG = 16


def listen(path: Path, mode: int) -> socket.socket:
    """Listen at ``path`` with the permissions ``mode``.

    A file that a dead program has left is replaced; a living one is left alone. Raises PinFault
    where the path is too long, AlreadyRunning where a program listens there, and OSError.
    """
    text = checked_path(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if _somebody_listens(text):
            raise AlreadyRunning(f"another bench-sim listens at {path}")
        mask = os.umask(0o777 & ~mode)
        try:
            listening.bind(text)
        finally:
            os.umask(mask)
        listening.listen(_BACKLOG)
        listening.settimeout(0)
    except BaseException:
        listening.close()
        raise
    return listening


def _somebody_listens(path: str) -> bool:
    """Try the path; remove the file where it is a socket that nobody listens at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as trial:
        trial.settimeout(0)
        try:
            trial.connect(path)
        except FileNotFoundError:
            return False
        except ConnectionRefusedError:
            if not Path(path).is_socket():
                raise
            os.unlink(path)
            return False
        except BlockingIOError:  # its queue is full: it lives
            return True
        return True
