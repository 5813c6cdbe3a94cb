"""A part of the engine by itself: context, book and a ledger that is durable at once.

For what needs no motor: a turn costs microseconds, so hours of the pump's time cost nothing.
"""

from collections.abc import Callable
from typing import Any

from appliance.domain.limits import Limits
from appliance.domain.mechanics import Mechanics
from appliance.domain.units import NS_PER_S
from appliance.engine import messages as m
from appliance.engine.alarms import AlarmBoard
from appliance.engine.book import Book
from appliance.engine.context import Context, Machine
from appliance.engine.desk import Desk
from appliance.ports import ClockQuality, ClockReading
from appliance.records import Record
from appliance.simulate.fake_ledger import FakeLedger

START_NS = 1_000 * NS_PER_S
LIMITS = {
    "max_bolus_uu": 10_000_000,
    "hourly_uu": 15_000_000,
    "daily_uu": 60_000_000,
    "max_basal_uu_per_h": 5_000_000,
    "min_interval_s": 60,
}


def machine(**changed: Any) -> Machine:
    return Machine(
        **{
            "name": "Room",
            "fluid": "water",
            "mechanics": Mechanics.of(
                bore_um=8_660,
                lead_um=1_000,
                full_steps=200,
                microsteps=16,
                concentration_u_per_ml=100,
                hold="reduced",
            ),
            "lease_uu": 50_000,
            "ceilings": Limits(25_000_000, 60_000_000, 300_000_000, 35_000_000, 3_600),
            "hold": "reduced",
            "readback": True,
            "realtime_required": False,
            "force_kind": "none",
            "force_required": False,
            "force_threshold_mn": 12_000,
            "stop_button": True,
            "min_interval_ns": 2_000_000,
            "capacity_uu": 300_000_000,
            "bench": True,
            "weaker": (),
            "speed": 1,
            "boot_id": "boot-1",
            "version": "room",
            "config_sha256": "0" * 64,
            "pids": (),
        }
        | changed
    )


class Room:
    """One context with its book, and an alarm board; a test adds the desk that it is about."""

    def __init__(self, **changed: Any) -> None:
        self.ledger = FakeLedger()
        self.wall_ns = 1_800_000_000 * NS_PER_S - START_NS
        self.offset_s = 0
        self.c = Context(machine(**changed), Book(), self._reading(START_NS))
        self.alarms = AlarmBoard(self.c)
        self.desks: list[Desk] = []
        self.sent: list[tuple[float, Record]] = []
        self.answers: dict[int, m.Answer] = {}
        self.tokens = 0

    def restart(self, off_s: int, **changed: Any) -> None:
        """Have `pumpd` end without a word, and begin again on its ledger after a while.

        A test whose room has desks makes them anew.
        """
        book = Book()
        for row in self.ledger.rows():
            book.apply(row)
        reading = self._reading(self.c.now_ns + off_s * NS_PER_S)
        self.c = Context(machine(**changed), book, reading)
        self.alarms = AlarmBoard(self.c)
        self.desks = []

    def _reading(self, now_ns: int) -> ClockReading:
        return ClockReading(now_ns, self.wall_ns + now_ns, self.offset_s, ClockQuality.SET)

    @property
    def at_s(self) -> float:
        return (self.c.now_ns - START_NS) / NS_PER_S

    def turn(self) -> None:
        """Let every desk turn, and make durable what they write; then see what came of it."""
        for desk in self.desks:
            desk.tend()
        self._settle()
        self._settle()

    def _settle(self) -> None:
        self.alarms.signal()
        while effects := self.c.out.drain():
            for effect in effects:
                match effect:
                    case m.Write(batch, entries):
                        self.c.written(batch, self.ledger.append(entries))
                    case m.ToGuard(record):
                        self.sent.append((self.at_s, record))
                    case m.Reply(token, answer):
                        self.answers[token] = answer
                    case _:
                        pass

    def run(self, seconds: float, step_s: float = 1.0, each: Callable[[], None] = lambda: None):
        """Let time go by, a turn every ``step_s`` and where the alarm board asks for one."""
        until_ns = self.c.now_ns + int(seconds * NS_PER_S)
        while self.c.now_ns < until_ns:
            wake_ns = max(self.c.now_ns + 1, self.alarms.wake_ns())
            next_ns = min(until_ns, self.c.now_ns + int(step_s * NS_PER_S), wake_ns)
            self.c.now_ns = next_ns
            self.c.reading = self._reading(next_ns)
            each()
            self.turn()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask the desk that has the verb; return its result, or the list of its refusals' texts."""
        self.tokens += 1
        asked = m.Asked(self.tokens, 1, 0, method, params)
        verbs = {verb: one for desk in self.desks for verb, one in desk.verbs.items()}
        verbs[method](asked)
        self.turn()
        answer = self.answers.pop(self.tokens)
        if isinstance(answer, m.Done):
            return dict(answer.result)
        assert isinstance(answer, m.Refused)
        return {"refused": [one.text for one in answer.reasons]}

    def setting(self, name: str, new: object) -> None:
        """Have a setting in force, as a row makes it."""
        self.c.write([self.c.entry("setting", {"name": name, "old": None, "new": new, "by": "x"})])
        self.turn()

    def standing(self) -> list[str]:
        return [one["name"] for one in self.alarms.listed() if not one["acknowledged"]]

    def acknowledge(self) -> None:
        self.alarms.acknowledge(None, "test", lambda: None)
        self.turn()
