"""Links to other systems: an upload to Nightscout, MQTT with Home Assistant, Prometheus.

All are off until ``keeper.toml`` switches one on, and none talks to a host that it does not list.
What goes out is what is in the keeper's own database, in order of the ledger's rows; how far it
came is kept, so after an outage it goes on where it was. Each row has an id of our own: sent twice,
it is one.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from appliance.errors import BadConfiguration, PumpError, SourceFault
from appliance.keeper.sources.feeding import FIRST_WAIT_S, LONGEST_WAIT_S

_log = logging.getLogger("pump-keeper")


class Link(Protocol):
    """One link. Its own thread alone uses it."""

    def step(self) -> str:
        """Send what is new; return in words how it stands. Raises SourceFault, sqlite3.Error."""
        ...

    def pause_s(self) -> float:
        """Return after how many real seconds to look again."""
        ...

    def end(self) -> None:
        """Let go of everything."""
        ...


class Progress:
    """How far each stream of one link has come, in a small file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seq: dict[str, int] = {}
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            self._seq = {str(name): int(seq) for name, seq in raw.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, AttributeError, TypeError) as error:
            _log.warning("%s cannot be read, so everything is sent again: %s", path, error)

    def of(self, stream: str) -> int:
        """Return the last row of a stream that was taken over there; 0 for none."""
        return self._seq.get(stream, 0)

    def came_to(self, stream: str, seq: int) -> None:
        """Keep that a row was taken over there. Raises OSError."""
        self._seq[stream] = seq
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._seq), encoding="utf-8")
        fresh.replace(self._path)


class LinkThread(threading.Thread):
    """Steps one link, less and less often while it fails."""

    def __init__(self, name: str, link: Link, died: Callable[[BaseException], None]) -> None:
        super().__init__(name=f"link-{name}", daemon=True)
        self.link_name = name
        self._link = link
        self._died = died
        self._ending = threading.Event()
        self.state, self.text = "starting", "not tried yet"
        self._wait_s = FIRST_WAIT_S

    def end(self) -> None:
        """End after the step that is under way."""
        self._ending.set()

    def once(self) -> float:
        """Take one step; return the real seconds until the next."""
        try:
            self.text = self._link.step()
        except (PumpError, OSError, sqlite3.Error) as error:
            text = str(error)[:200]
            if (self.state, self.text) != ("failed", text):
                _log.warning("link %s: %s", self.link_name, text)
            self.state, self.text = "failed", text
            wait_s, self._wait_s = self._wait_s, min(LONGEST_WAIT_S, self._wait_s * 2)
            return wait_s
        self.state, self._wait_s = "ok", FIRST_WAIT_S
        return self._link.pause_s()

    def run(self) -> None:
        """Step and wait. A bug here ends the program."""
        try:
            wait_s = 0.0
            while not self._ending.wait(wait_s):
                wait_s = self.once()
            self._link.end()
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)

    def shown(self) -> dict[str, Any]:
        """Return what a face shows of it."""
        return {"name": self.link_name, "state": self.state, "text": self.text}


def check_host(host: str | None, hosts: list[str], source: str) -> str:
    """Return a host that the configuration lists. Raises BadConfiguration for any other."""
    if not host or host not in hosts:
        text = f"{host!r} is not in hosts: keeper.toml lists every host that may be talked to"
        raise BadConfiguration(source, [text])
    return host


def refused(what: str, error: object) -> SourceFault:
    """Return the fault of another system that does not take something."""
    return SourceFault(f"{what}: {error}")
