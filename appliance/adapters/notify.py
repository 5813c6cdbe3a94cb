"""systemd's notification socket: one datagram. Without ``$NOTIFY_SOCKET`` there is nobody to
tell.
"""

from __future__ import annotations

import contextlib
import os
import socket


class Notifier:
    """Tells the service manager that the program is ready, alive, or stopping."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_us = int(os.environ.get("WATCHDOG_USEC", "0") or 0)

    def say(self, text: str) -> None:
        """Send one state, such as ``READY=1``."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door, contextlib.suppress(OSError):
            door.connect(self._address)
            door.send(text.encode())
