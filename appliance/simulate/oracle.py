"""The oracle: the safety requirements as checks on what moved, what was written and what was said.

Written from the requirements and not from the engine: it folds the rows by itself, knows the plant
alone as the truth, and shares no rule with what it judges.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from appliance.domain.limits import Limits
from appliance.ports import Row
from appliance.records import NO_LIMIT, Direction, Ended, Lease, Motion, Programme
from appliance.simulate.demands import Demands
from drivers.mock.plant import Plant
from drivers.mock.settings import Wire

_S = 1_000_000_000
_HOUR = 3_600 * _S
_TAIL_NS = 2 * _S
_DEAD_NS = _S
_TEST_EDGES = 4
_TRACE_EDGES = 2_000


class Broken(Exception):
    """A requirement does not hold. ``rule`` is its id, ``at_ns`` the plant's instant."""

    def __init__(self, rule: str, text: str, at_ns: int) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule
        self.at_ns = at_ns


@dataclass(slots=True)
class _Asked:
    """A programme as it was sent, and what became of it."""

    record: Programme
    amount_uu: int | None
    ended: Ended | None = None
    shift_ns: int = 0


class _Window:
    """What moved within a sliding window."""

    def __init__(self, span_ns: int, limit_uu: int, what: str) -> None:
        self.span_ns, self.limit_uu, self.what = span_ns, limit_uu, what
        self._moved: deque[tuple[int, int]] = deque()
        self.steps = 0

    def add(self, at_ns: int, steps: int) -> None:
        """Take in steps, and forget those that have left the window."""
        moved = self._moved
        moved.append((at_ns, steps))
        self.steps += steps
        oldest_ns = at_ns - self.span_ns
        while moved[0][0] <= oldest_ns:
            self.steps -= moved.popleft()[1]


class Oracle:
    """Judges one run. ``look`` comes after every event; whatever is wrong raises Broken."""

    def __init__(
        self,
        *,
        ratio_uu: int,
        ratio_steps: int,
        quantum_steps: int,
        lease_uu: int,
        min_interval_ns: int,
        limits: Limits,
        exact: bool,
        readback: bool = True,
    ) -> None:
        self._step_cost = ratio_uu * _HOUR
        self._ratio_uu, self._ratio_steps = ratio_uu, ratio_steps
        self._quantum = quantum_steps
        lease_steps = lease_uu * ratio_steps // ratio_uu if quantum_steps == 1 else quantum_steps
        self.lease_steps = max(1, lease_steps)
        self._min_interval_ns = min_interval_ns
        self._exact = exact
        self._readback = readback
        self._plant: Plant | None = None
        self._windows = (
            _Window(_HOUR, limits.hourly_uu, "60 min"),
            _Window(24 * _HOUR, limits.daily_uu, "24 h"),
        )
        # The ledger, folded.
        self.confirmed = self.closed_maximum = self.open_steps = 0
        self.back_confirmed = self.back_maximum = 0
        self._leases: dict[int, tuple[int, int]] = {}
        self.intents: dict[str, int] = {}
        self._requests: dict[int, str] = {}
        self._amounts: dict[int, int | None] = {}
        self.closed: set[str] = set()
        self.demands = Demands()
        self.last_kind = ""
        self.rows = 0
        # What was sent.
        self._live: dict[int, _Asked] = {}
        self._sent: set[int] = set()
        self._asked = 0
        self._leases_sent: set[int] = set()
        # The motor.
        self._edges = self._moved = self._skipped = self._reversed = 0
        self._tokens = 0
        self._refilled_ns = 0
        self._idle_since_ns = 0
        self._enable_drops = 0
        self._was_on = False
        self.blows = 0
        self.self_tests = 0
        self.guard_dead_ns: int | None = None
        self.pump_dead_ns: int | None = None
        self.accepted: set[str] = set()
        self.looks = 0

    def watch(self, plant: Plant) -> None:
        """Take this plant for the truth."""
        self._plant = plant

    # ------------------------------------------------------------------ what is written and sent

    def written(self, rows: Sequence[Row], at_ns: int) -> None:
        """Fold rows that have become durable."""
        for row in rows:
            self.rows += 1
            body = row.entry.body
            self.last_kind = row.entry.kind
            match row.entry.kind:
                case "lease":
                    self._leases[body["number"]] = (body["steps"], body["direction"])
                    self.open_steps += body["steps"]
                case "count":
                    steps, direction = self._leases.pop(body["lease"])
                    self.open_steps -= steps
                    if direction != Direction.FORWARD:
                        self.back_confirmed += body["confirmed_steps"]
                        self.back_maximum += body["maximum_steps"]
                    self.confirmed += body["confirmed_steps"]
                    self.closed_maximum += body["maximum_steps"]
                    if body["maximum_steps"] > steps:
                        raise Broken("SR-35", f"lease {body['lease']} counts over its steps", at_ns)
                case "intent":
                    request, number = body["request_id"], body["programme"]
                    if request in self.intents:
                        raise Broken("SR-37", f"request {request} has a second intent", at_ns)
                    self.intents[request] = number
                    self._requests[number] = request
                    self._amounts[number] = body["programmed_uu"]
                case "closed":
                    request = body["request_id"]
                    if request in self.closed:
                        raise Broken("SR-38", f"dose {request} is closed twice", at_ns)
                    self.closed.add(request)
                    if body["confirmed_steps"] > body["maximum_steps"]:
                        raise Broken("SR-36", f"dose {request}: confirmed over maximum", at_ns)
                case "run":
                    self.self_tests += 1
                    if self._plant is not None:
                        heard = self._plant.rises[Wire.READBACK]
                        self.demands.new_run(self._plant.edges_sent, heard)
                case "alarm":
                    self.demands.alarm(body, at_ns)
                case _:
                    pass
        spread = self.closed_maximum - self.confirmed
        if spread > 2 * self.lease_steps * self.blows:
            raise Broken("SR-36", f"{spread} steps of doubt after {self.blows} blows", at_ns)

    def programme(self, record: Programme, at_ns: int) -> None:
        """Judge a programme on its way to the stepper."""
        if record.number in self._sent:
            raise Broken("SR-37", f"programme {record.number} is sent twice", at_ns)
        request = self._requests.get(record.number)
        if request is None:
            raise Broken("SR-34", f"programme {record.number} has no durable intent", at_ns)
        if request in self.closed:
            raise Broken("SR-38", f"programme {record.number} is closed, and sent", at_ns)
        self.look_at_edges(at_ns)
        self._sent.add(record.number)
        self._live[record.number] = _Asked(record, self._amounts[record.number])

    def lease(self, record: Lease, at_ns: int) -> None:
        """Judge a lease on its way to the stepper."""
        if record.number not in self._leases or record.number in self._leases_sent:
            raise Broken("SR-35", f"lease {record.number} is not durable, or sent twice", at_ns)
        if (record.direction == Direction.FORWARD) is (record.motion == Motion.REWIND):
            raise Broken("SR-33", f"lease {record.number} points the wrong way", at_ns)
        self._leases_sent.add(record.number)

    def carried(self) -> None:
        """Hear that a remainder is given to a running programme: one step may come sooner."""
        self._tokens += self._step_cost * self._quantum

    def ended(self, record: Ended, plant_ns: int) -> None:
        """Hear the end of a programme; its steps are out."""
        self.look_at_edges(plant_ns)
        asked = self._live.pop(record.number, None)
        if asked is None:
            return
        self._idle_since_ns = plant_ns
        asked.ended = record
        self._asked += self._asked_of(asked, record.at_ns, record.shift_ns)
        self._tokens += self._step_cost  # its remainder may be the next one's first step

    def run_over(self, now_ns: int, plant_ns: int) -> None:
        """Hear that the stepper is gone: its programmes are over, whatever they had done."""
        self.look_at_edges(plant_ns)
        if self._live:
            self._idle_since_ns = plant_ns
        for asked in self._live.values():
            self._asked += self._asked_of(asked, now_ns, 0)
        self._live.clear()

    def looked_away(self, plant_ns: int, off_ns: int) -> None:
        """Hear of a power cut: the programs' clock begins anew, and nothing ran meanwhile."""
        self._refilled_ns = self._idle_since_ns = plant_ns
        self.demands.off(plant_ns, off_ns)

    def _asked_of(self, asked: _Asked, at_ns: int, shift_ns: int) -> int:
        """Return what a programme asked for, in steps * ``_step_cost``: rate by time, no more than
        the dose.
        """
        record = asked.record
        if record.motion == Motion.REWIND:
            return 0  # it ends where the end stop is
        span_ns = max(0, min(at_ns, record.until_ns) - record.start_ns - shift_ns)
        by_time = record.rate_uu_per_h * self._ratio_steps * span_ns
        if asked.amount_uu is None or record.steps == NO_LIMIT:
            return by_time
        whole = asked.amount_uu * self._ratio_steps * _HOUR
        ended = asked.ended
        if ended is not None and ended.issued_steps >= record.steps:
            return whole
        return min(whole, by_time)

    @property
    def asked_steps(self) -> int:
        """Return the steps asked for in all, rounded down."""
        return self._asked // self._step_cost

    # ------------------------------------------------------------------ after every event

    @property
    def moved_steps(self) -> int:
        """Return the edges that reached the motor while ENABLE was on."""
        plant = self._plant
        return plant.edges_seen - plant.edges_while_disabled if plant else 0

    @property
    def issued_steps(self) -> int:
        """Return the edges that the stepper sent, whatever became of them."""
        return self._plant.edges_sent if self._plant else 0

    @property
    def alarms(self) -> int:
        """Return how many alarms were raised."""
        return self.demands.raised

    @property
    def doses(self) -> set[int]:
        """Return the programmes of doses that run now."""
        live = self._live.items()
        return {number for number, one in live if one.record.motion == Motion.DOSE}

    def look(self, plant_ns: int, *, well: bool = False) -> None:
        """Judge everything as it is now; ``well`` says that it runs and every program is up."""
        plant = self._plant
        if plant is None:
            return
        self.looks += 1
        self.look_at_edges(plant_ns)
        edges, moved = self._edges, self._moved
        heard = plant.rises[Wire.READBACK]
        if self.confirmed > moved and self.confirmed > moved + max(0, heard - edges):
            raise Broken("SR-36", f"confirmed {self.confirmed}, moved {moved}", plant_ns)
        maximum = self.closed_maximum + self.open_steps
        unseen = max(0, edges - (heard if self._readback else plant.edges_sent))
        if moved > maximum + unseen:
            raise Broken("SR-36", f"moved {moved}, maximum {maximum}", plant_ns)
        if plant.enable or self._was_on:
            self._look_at_enable(plant, plant_ns)
        if self._readback:
            broken = self.demands.edges(
                plant.edges_sent, heard, plant_ns, enable=plant.enable, judged=well
            )
            if broken is not None:
                raise Broken(*broken, plant_ns)

    def look_at_edges(self, plant_ns: int) -> None:
        """Judge the edges that are new."""
        plant = self._plant
        edges = plant.edges_seen if plant else 0
        new = edges - self._edges
        if plant is None or not new:
            return
        moved = edges - plant.edges_while_disabled
        steps = moved - self._moved
        self._edges, self._moved = edges, moved
        gap_ns = plant.min_gap_ns
        if gap_ns is not None and gap_ns < self._min_interval_ns:
            raise Broken("SR-23", f"two edges {gap_ns} ns apart", plant_ns)
        motions = {one.record.motion for one in self._live.values()}
        if plant.steps_reverse != self._reversed:
            if motions != {Motion.REWIND} or plant.syringe_in:
                raise Broken("SR-33", f"{plant.steps_reverse} steps back", plant_ns)
            self._reversed = plant.steps_reverse
        apart = plant.edges_while_disabled - _TEST_EDGES * self.self_tests
        if apart > self.blows + self._enable_drops:
            raise Broken("SR-29", f"{apart} edges without ENABLE, beside the test's", plant_ns)
        if not steps:
            return
        if not self._live and not self._sent:
            raise Broken("SR-34", f"{steps} steps, and nothing was asked for", plant_ns)
        first_ns = plant_ns
        if plant.edges_skipped != self._skipped:
            # Skipped edges left no instants: the judging begins anew, with room for one of each.
            self._skipped = plant.edges_skipped
            self._tokens = self._step_cost * (1 + len(self._live))
            self._refilled_ns = plant_ns
        elif steps == new <= _TRACE_EDGES:
            first_ns = self._no_burst(plant, new, plant_ns)
        if motions and Motion.DOSE not in motions:
            return  # what primes a set is no dose
        for window in self._windows:
            window.add(first_ns, steps)
            if window.steps * self._ratio_uu > window.limit_uu * self._ratio_steps:
                uu = window.steps * self._ratio_uu // self._ratio_steps
                raise Broken("SR-14", f"{uu} uu within {window.what}", plant_ns)

    def _no_burst(self, plant: Plant, new: int, plant_ns: int) -> int:
        """Let each edge take a token; tokens come at the rate that is programmed, and do not
        gather: what was late is not made up. Returns the instant of the first new edge.
        """
        rate = sum(one.record.rate_uu_per_h for one in self._live.values()) * self._ratio_steps
        cost = self._step_cost
        room = cost * (self._quantum * (1 + len(self._live)) + 1)
        tokens, last_ns = self._tokens, self._refilled_ns
        instants = [at for at, level in islice(reversed(plant.step_trace), 2 * new) if level]
        for at_ns in reversed(instants):
            tokens = min(room, tokens + rate * (at_ns - last_ns)) - cost
            last_ns = at_ns
            if tokens < -cost:
                raise Broken("SR-23", "a burst: steps come faster than they were asked for", at_ns)
        self._tokens, self._refilled_ns = tokens, last_ns
        return instants[-1] if instants else plant_ns

    def _look_at_enable(self, plant: Plant, plant_ns: int) -> None:
        on = plant.enable
        if self._was_on and not on:
            self._enable_drops += 1
        self._was_on = on
        if self._live or not on:
            self._idle_since_ns = plant_ns
        elif plant_ns - self._idle_since_ns > _TAIL_NS:
            raise Broken("SR-29", "ENABLE is on, and nothing has run for 2 s", plant_ns)
        for dead_ns, who in ((self.guard_dead_ns, "guard"), (self.pump_dead_ns, "pumpd")):
            if on and dead_ns is not None and plant_ns - dead_ns > _DEAD_NS:
                raise Broken("SR-30", f"ENABLE is on 1 s after {who} died", plant_ns)

    # ------------------------------------------------------------------ liveness

    def finish(self, plant_ns: int) -> None:
        """Judge the whole run at its end."""
        open_doses = sorted(self.accepted - self.closed)
        if open_doses:
            raise Broken(
                "liveness", f"bolus {open_doses[0]} was accepted and never ended", plant_ns
            )
        unanswered = self.demands.unanswered(plant_ns)
        if unanswered is not None:
            raise Broken("alarm", *unanswered)
        moved = self._moved - self._reversed
        if self._exact and abs(self.asked_steps - moved) > self._quantum:
            text = f"asked for {self.asked_steps} steps, moved {moved}"
            raise Broken("count", text, plant_ns)
