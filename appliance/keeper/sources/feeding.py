"""A thread for each source: ask it, hand what is new to ``pumpd``, wait longer after a failure.

What the pump could not take is kept, up to a day of it, and handed in when it answers again. The
same reading twice is one: the pump knows it by its id.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.client.messages import SensorReading
from appliance.client.pump import PumpClient
from appliance.domain.units import NS_PER_S
from appliance.errors import PumpError, SourceFault
from appliance.keeper.sources import Found, Source
from appliance.ports import Clock

BATCH = 24
KEPT = 288
OLDEST_S = 86_000
AHEAD_NS = 300 * NS_PER_S
"""A reading may lie so far in the future, as clocks differ; it then counts as of now."""
FIRST_WAIT_S = 15.0
LONGEST_WAIT_S = 900.0

_log = logging.getLogger("pump-keeper")


class Feeder:
    """What is known of one source, and the next step with it: no thread, no sleep inside."""

    def __init__(
        self,
        name: str,
        source: Source,
        clock: Clock,
        give: Callable[[str, list[SensorReading]], int],
    ) -> None:
        """``give`` hands readings to the pump and returns how many were new; raises PumpError."""
        self.name = name
        self._source = source
        self._clock = clock
        self._give = give
        self._waiting: deque[Found] = deque(maxlen=KEPT)
        self._told: deque[str] = deque(maxlen=2 * KEPT)
        self._wait_s = FIRST_WAIT_S
        self.state = "starting"
        self.text = "not asked yet"
        self.readings = 0
        self.last_utc_ns: int | None = None

    def step(self) -> float:
        """Ask the source, hand in what waits; return the real seconds until the next step."""
        try:
            for found in self._source.poll():
                if found.id not in self._told and all(one.id != found.id for one in self._waiting):
                    self._waiting.append(found)
            self._hand_in()
        except PumpError as fault:
            state = "failed" if isinstance(fault, SourceFault) else "no pump"
            if (state, str(fault)) != (self.state, self.text):
                _log.warning("source %s: %s: %s", self.name, state, fault)
            self.state, self.text = state, str(fault)[:200]
            wait_s, self._wait_s = self._wait_s, min(LONGEST_WAIT_S, self._wait_s * 2)
            return wait_s
        self._wait_s = FIRST_WAIT_S
        self.state, self.text = "ok", f"{self.readings} readings"
        return self._source.pause_s()

    def _hand_in(self) -> None:
        while self._waiting:
            now_ns = self._clock.read().utc_ns
            batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
            readings = []
            for one in batch:
                age_s = (now_ns - one.utc_ns) // NS_PER_S
                if one.utc_ns - now_ns > AHEAD_NS or age_s > OLDEST_S:
                    continue  # of no time that the pump can place
                readings.append(SensorReading(id=one.id, mg_dl=one.mg_dl, age_s=max(0, age_s)))
            if readings:
                self.readings += self._give(self.name, readings)
                self.last_utc_ns = max(one.utc_ns for one in batch)
            for one in batch:
                self._told.append(one.id)
                self._waiting.popleft()

    def shown(self) -> dict[str, Any]:
        """Return what a face shows of it."""
        return {
            "name": self.name,
            "state": self.state,
            "text": self.text,
            "readings": self.readings,
            "waiting": len(self._waiting),
            "last_utc_ns": self.last_utc_ns,
        }


class FeederThread(threading.Thread):
    """Takes one step after the other until told to end."""

    def __init__(self, feeder: Feeder, died: Callable[[BaseException], None]) -> None:
        super().__init__(name=f"source-{feeder.name}", daemon=True)
        self.feeder = feeder
        self._died = died
        self._ending = threading.Event()

    def end(self) -> None:
        """End after the step that is under way; it is not waited for: a server may be slow."""
        self._ending.set()

    def run(self) -> None:
        """Step and wait. A bug here ends the program."""
        try:
            wait_s = 0.0
            while not self._ending.wait(wait_s):
                wait_s = self.feeder.step()
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)


def giving_to(path: Path) -> Callable[[str, list[SensorReading]], int]:
    """Return what hands readings to the ``pumpd`` behind the socket ``path``."""

    def give(name: str, readings: list[SensorReading]) -> int:
        with PumpClient(path, client="pump-keeper") as pump:
            return pump.report_glucose(name, readings)

    return give
