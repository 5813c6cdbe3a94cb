"""The delivery loop: handed the time and its mail, one deadline for each microstep, never a burst.

A plain object without clock, socket, thread or file (``protocol.md`` calls it a core): the program
around it waits in ``select()``, the simulator turns it by hand. It steps inside leases alone, only
while the guard says that ENABLE is on, and obeys a stop in its mail before it looks at a deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from appliance.errors import ActuatorFault, PinFault
from appliance.ports import InputLine, StepActuator
from appliance.records import (
    NO_LIMIT,
    Beat,
    Carry,
    Direction,
    Enable,
    End,
    Ended,
    Lease,
    Motion,
    Programme,
    ProgrammeTotal,
    Progress,
    Record,
    Stop,
    TestEdges,
    halves,
    whole,
)

_NS_PER_MS = 1_000_000
_NS_PER_H = 3_600_000_000_000
_SLIPS_ALLOWED = 10
_END_PART = 50
"""An end stop is left behind within this part of a whole rewind."""
_KEPT_ALONE = 1  # of a lease's steps, where some are skipped: the last one is always a turn
_KEPT_MERGED = 4  # two programmes may want one instant, and the second then waits its 2 ms


@dataclass(frozen=True, slots=True)
class Timing:
    """The loop's own times in ns of the pump's clock: real times, multiplied by the demo's
    speed.
    """

    speed: int
    min_interval_ns: int
    beat_ns: int
    rest_beat_ns: int
    report_ns: int
    absorbed_ns: int
    slip_fault_ns: int
    slip_window_ns: int
    stall_ns: int
    answer_ns: int
    lead_ns: int
    tail_ns: int

    @staticmethod
    def at(speed: int, min_interval_us: int) -> Timing:
        """Return the times at ``speed``; the motor's minimum interval is a real time too."""
        ms = _NS_PER_MS * speed
        return Timing(
            speed=speed,
            min_interval_ns=min_interval_us * 1_000 * speed,
            beat_ns=10 * ms,
            rest_beat_ns=100 * ms,
            report_ns=50 * ms,
            absorbed_ns=50 * ms,
            slip_fault_ns=200 * ms,
            slip_window_ns=60_000 * ms,
            stall_ns=5_000 * ms,
            answer_ns=200 * ms,
            lead_ns=50 * ms,
            tail_ns=150 * ms,
        )


@dataclass(frozen=True, slots=True)
class Ratio:
    """``uu`` microunits leave in ``steps`` microsteps; ``quantum`` microsteps go out together."""

    uu: int
    steps: int
    quantum: int = 1


@dataclass(slots=True)
class _Running:
    """One programme. Owed is a function of elapsed time; nothing is summed up tick by tick."""

    number: int
    motion: int
    per_ns: int  # what one ns owes, in uu * ratio_steps per hour
    per_step: int  # what one microstep pays, in the same unit times ns
    start_ns: int
    until_ns: int
    steps: int
    carry: int
    follows: int
    quantum: int
    issued: int = 0
    shift_ns: int = 0
    slips: int = 0
    worst_ns: int = 0
    not_before_ns: int = -NO_LIMIT  # what was given later, or waited in a stall, was not due before
    due_ns: int = field(default=NO_LIMIT)

    def plan(self) -> None:
        """Work out the instant of the next step: when its last microstep is owed in full."""
        if self.per_ns == 0:
            self.due_ns = NO_LIMIT
            return
        missing = (self.issued + self.quantum) * self.per_step - self.carry
        wait_ns = -(-missing // self.per_ns) if missing > 0 else 0
        self.due_ns = max(self.start_ns + self.shift_ns + wait_ns, self.not_before_ns)

    def put_back(self, due_ns: int) -> None:
        """Have the next step fall due at ``due_ns``: the time until then is owed by nobody."""
        self.shift_ns += due_ns - self.due_ns
        self.not_before_ns = due_ns
        self.plan()

    def left_over(self, at_ns: int) -> int:
        """Return what is owed at ``at_ns`` and not paid in steps; never below 0."""
        elapsed_ns = max(0, min(at_ns, self.until_ns) - self.start_ns - self.shift_ns)
        return max(0, self.carry + self.per_ns * elapsed_ns - self.issued * self.per_step)

    def owed_before(self, at_ns: int) -> int:
        """Return how many steps fall due before ``at_ns`` and are not issued."""
        if self.due_ns >= at_ns:
            return 0
        elapsed_ns = at_ns - 1 - self.start_ns - self.shift_ns
        return max(0, (self.carry + self.per_ns * elapsed_ns) // self.per_step - self.issued)

    @property
    def last_due_ns(self) -> int:
        """Return when the last step of a dose falls due."""
        if self.steps == NO_LIMIT or self.per_ns == 0:
            return NO_LIMIT
        wait_ns = -(-(self.steps * self.per_step - self.carry) // self.per_ns)
        return self.start_ns + self.shift_ns + wait_ns

    @property
    def interval_ns(self) -> int:
        return self.per_step * self.quantum // self.per_ns if self.per_ns else NO_LIMIT


class Stepper:
    """The core of ``pump-stepper``: mail and time in, records and the next wake out."""

    def __init__(
        self,
        *,
        run: int,
        ratio: Ratio,
        timing: Timing,
        axis: StepActuator,
        end_stop: InputLine,
        driver_fault: InputLine,
        hold: bool,
    ) -> None:
        self._run = run
        self._ratio = ratio
        self._t = timing
        self._axis = axis
        self._end_stop = end_stop
        self._driver_fault = driver_fault
        self._hold = hold
        self._running: list[_Running] = []
        self._waiting: list[_Running] = []
        self._left_over: dict[int, int] = {}
        self._leases: deque[Lease] = deque()
        self._lease_left = 0
        self.issued_steps = 0
        self.wakes_to_step = False
        self._stops = 0
        self._direction = 0
        self._enabled = False
        self._off = False
        self._wanting = False
        self._wish = 0
        self._answered_ns = 0
        self._last_step_ns = -NO_LIMIT
        self._ready_ns = -NO_LIMIT
        self._tail_until_ns = 0
        self._stalled_since_ns: int | None = None
        self._bursting: _Running | None = None
        self._burst_left = 0
        self._deferred: list[Stop] = []
        self._test_left = 0
        self._test_edges = 0
        self._test_worst_ns = 0
        self._fault: End | None = None
        self._at_back = False
        self._left_end = True
        self._left_back = self._end_steps = 0
        self._slip_instants: deque[int] = deque(maxlen=_SLIPS_ALLOWED + 1)
        self._next_beat_ns = 0
        self._next_report_ns = 0
        self._report_now = True
        self._turns = 0
        self._to_pumpd: list[Record] = []
        self._to_guard: list[Record] = []

    # ------------------------------------------------------------------ the one door

    def turn(self, now_ns: int, inbox: Sequence[Record]) -> tuple[list[Record], list[Record], int]:
        """Read the mail, then issue at most one step.

        Returns the records for `pumpd`, those for the guard, and the instant of the next wake;
        ``wakes_to_step`` says whether a step is due then.
        """
        self._turns += 1
        self._to_pumpd, self._to_guard = [], []
        for record in inbox:
            self._read(record, now_ns)
        self._expire(now_ns)
        if self._test_left:
            self._test(now_ns)
        else:
            self._deliver(now_ns)
        self._beat(now_ns)
        return self._to_pumpd, self._to_guard, self._next_wake_ns(now_ns)

    def retime(self, now_ns: int, timing: Timing) -> None:
        """Take other times from now on, as if every beat until now had gone out and been answered.

        For virtual time, where beats are events only while something is wrong.
        """
        self._t = timing
        self._answered_ns = max(self._answered_ns, now_ns)
        self._next_beat_ns = self._next_report_ns = now_ns

    def lost(self, now_ns: int) -> list[Record]:
        """End everything because a wire is gone; return the last records for `pumpd`."""
        self._to_pumpd = []
        self._end_all(End.WIRE_LOST, now_ns, 0)
        self._report(now_ns)
        return self._to_pumpd

    def glide(
        self, now_ns: int, until_ns: int, move_to: Callable[[int], None]
    ) -> tuple[int, list[Record], list[Record], int]:
        """Issue the steps that fall due from ``now_ns`` on and before ``until_ns``, each at its own
        instant, until there is something to say; return how many, and what ``turn`` returns.

        For virtual time, where nobody has mail for a while: ``move_to`` sets the clock. Each is the
        step that ``turn`` takes; what is left out is the search for what a quiet loop cannot find.
        What is late, waits or ends a time is left to ``turn``, and then it issues none.
        """
        self._to_pumpd, self._to_guard = [], []
        steps, running = 0, self._running
        until_ns = min(until_ns, self._next_beat_ns, self._next_report_ns)
        until_ns = min(until_ns, self._answered_ns + self._t.answer_ns)
        if self._is_plain and self._hold and not self._report_now:
            for one in running:
                until_ns = min(until_ns, one.until_ns)
            gap_ns = self._t.min_interval_ns
            ready_ns = max(now_ns, self._last_step_ns + gap_ns, self._ready_ns)
            while not self._report_now:
                programme = running[0]
                for other in running:
                    if other.due_ns < programme.due_ns:
                        programme = other
                due_ns = programme.due_ns
                if due_ns >= until_ns or due_ns < ready_ns:
                    break
                move_to(due_ns)
                self._step(programme, due_ns)
                steps += 1
                now_ns, ready_ns = due_ns, due_ns + gap_ns
        if not steps:
            return 0, [], [], now_ns
        self._turns += steps
        self._beat(now_ns)
        return steps, self._to_pumpd, self._to_guard, self._next_wake_ns(now_ns)

    @property
    def _is_plain(self) -> bool:
        """Say whether each step that falls due can go out, microstep by microstep."""
        if not (self._running and self._leases and self._enabled) or self._bursting is not None:
            return False
        if self._stalled_since_ns is not None or self._test_left or self._deferred:
            return False
        motion = self._leases[0].motion
        return all(one.motion == motion and one.quantum == 1 for one in self._running)

    def skip(self, until_ns: int) -> tuple[int, int]:
        """Count the steps that fall due before ``until_ns`` as issued, without their edges; return
        how many, and the instant of the last.

        For virtual time at pulse level: whoever calls it tells the plant. It leaves the last steps
        of a lease, of a dose and of a time to ``turn``, so that whatever is said of them is said at
        the same instant as with edges. Skips nothing where a step would have to wait.
        """
        if not self._is_plain:
            return 0, 0
        for one in self._running:
            if one.interval_ns < 4 * _NS_PER_MS:
                return 0, 0
            until_ns = min(until_ns, one.until_ns, one.last_due_ns)
        most = self._lease_left - (_KEPT_ALONE if len(self._running) == 1 else _KEPT_MERGED)
        skipped, last_ns = 0, 0
        while skipped < most:
            one = min(self._running, key=lambda running: running.due_ns)
            if one.due_ns >= until_ns:
                break
            steps = 1
            if len(self._running) == 1:
                steps = min(most, one.owed_before(until_ns))
                one.issued += steps - 1
                one.plan()
            last_ns = one.due_ns
            one.issued += 1
            one.plan()
            skipped += steps
        if skipped:
            self._last_step_ns = last_ns
            self.issued_steps += skipped
            self._lease_left -= skipped
        return skipped, last_ns

    @property
    def stalled(self) -> bool:
        """Say whether a step is due that waits for a lease or for ENABLE."""
        return self._stalled_since_ns is not None

    # ------------------------------------------------------------------ mail

    def _read(self, record: Record, now_ns: int) -> None:
        match record:
            case Stop() as stop:
                if self._bursting is None:
                    self._obey(stop, now_ns)
                else:  # a rotor without current rests on full steps: this one is finished first
                    self._deferred.append(stop)
            case Lease(stops=stops) as lease:
                if stops == self._stops and self._fault is None:
                    self._leases.append(lease)
                    self._axis.allow(lease.steps)
                    if len(self._leases) == 1:
                        self._lease_left = lease.steps
            case Programme() as programme:
                self._accept(programme, now_ns)
            case Carry(number, high, low):
                self._give(number, whole(high, low), now_ns)
            case Enable(on, wish):
                if wish == self._wish:
                    self._hear(now_ns, on=bool(on))
            case TestEdges(count):
                if not self._armed:
                    self._test_left += count
                    self._axis.allow(count)
            case _:
                pass  # Hello and Bye belong to the program around this core

    def _accept(self, record: Programme, now_ns: int) -> None:
        """Take a programme; one that crossed a stop, or comes after a fault, ends before it
        begins.
        """
        programme = _Running(
            number=record.number,
            motion=record.motion,
            per_ns=record.rate_uu_per_h * self._ratio.steps,
            per_step=self._ratio.uu * _NS_PER_H,
            start_ns=record.start_ns,
            until_ns=record.until_ns,
            steps=record.steps,
            carry=whole(record.carry_high, record.carry_low),
            follows=record.follows,
            quantum=self._ratio.quantum,
        )
        if record.stops != self._stops or self._fault is not None:
            self._report_end(programme, self._fault or End.STOPPED, now_ns, 0)
        elif any(one.number == record.follows for one in (*self._running, *self._waiting)):
            self._waiting.append(programme)
        else:
            programme.carry += self._left_over.pop(record.follows, 0)
            self._start(programme, now_ns)

    def _start(self, programme: _Running, now_ns: int) -> None:
        if programme.motion == Motion.REWIND:
            self._left_end, self._left_back = False, 0
            self._end_steps = programme.steps // _END_PART
        if not self._armed:
            self._answered_ns = max(self._answered_ns, now_ns)
            self._next_beat_ns = now_ns
        programme.plan()
        if now_ns - programme.due_ns > self._absorbs_ns(programme):
            programme.put_back(now_ns)  # it came late: that is no lateness of the loop's
        self._running.append(programme)

    def _give(self, number: int, carry: int, now_ns: int) -> None:
        for programme in (*self._running, *self._waiting):
            if programme.number == number:
                # What the gift makes owed at once is due now: it is no lateness of the loop's. What
                # was due before stays due: the gift hides no lateness either.
                programme.not_before_ns = min(programme.due_ns, now_ns)
                programme.carry += carry
                programme.plan()
                return
        for programme in (*self._running, *self._waiting):
            if programme.follows == number:
                self._give(programme.number, carry, now_ns)
                return
        self._left_over[number] = self._left_over.get(number, 0) + carry

    def _obey(self, stop: Stop, now_ns: int) -> None:
        if stop.number == 0:
            self._stops += 1
            self._end_all(End.STOPPED, now_ns, 0)
        else:
            self._stop_one(stop.number, now_ns)

    def _stop_one(self, number: int, now_ns: int) -> None:
        for programme in list(self._running):
            if programme.number == number:
                self._finish(programme, End.STOPPED, now_ns, 0)
        # What waits for a programme that was stopped would wait for ever: it ends, and is told.
        for programme in list(self._waiting):
            if number in (programme.number, programme.follows):
                self._waiting.remove(programme)
                self._report_end(programme, End.STOPPED, now_ns, 0)
                if programme.number != number:
                    self._stop_one(programme.number, now_ns)

    def _hear(self, now_ns: int, *, on: bool) -> None:
        self._answered_ns = now_ns
        self._off = not on
        if on == self._enabled:
            return
        self._enabled = on
        self._report_now = True
        if not on and self._running and self._wants_enable(now_ns):
            self._end_all(End.DISABLED, now_ns, 0)

    # ------------------------------------------------------------------ stepping

    def _deliver(self, now_ns: int) -> None:
        if not self._running:
            return
        if now_ns - self._answered_ns > self._t.answer_ns and self._wants_enable(now_ns):
            self._end_all(End.DISABLED, now_ns, now_ns - self._answered_ns)
            return
        programme = self._bursting
        if programme is None:
            programme = self._running[0]
            for other in self._running:
                if other.due_ns < programme.due_ns:
                    programme = other
        due_ns = self._last_step_ns + self._t.min_interval_ns
        if due_ns < programme.due_ns:
            due_ns = programme.due_ns
        if now_ns < due_ns:
            return
        if not self._may_step(programme):
            self._wait(now_ns)
            return
        if self._stalled_since_ns is not None:
            self._resume_after_stall(now_ns)
            due_ns = max(programme.due_ns, due_ns)
        wait_ns = self._axis.wait_ns() * self._t.speed
        if wait_ns:  # the last edge went out a little after its turn began
            self._ready_ns = now_ns + wait_ns
            return
        if self._bursting is None and not self._on_time(programme, now_ns, due_ns):
            return
        self._step(programme, now_ns)

    def _may_step(self, programme: _Running) -> bool:
        return self._enabled and bool(self._leases) and self._leases[0].motion == programme.motion

    def _wait(self, now_ns: int) -> None:
        """Beat on without a lease or without ENABLE; over five seconds of it end the dose."""
        if self._deferred:  # the full step that the stop waits for cannot be finished
            self._bursting = None
            self._obey_deferred(now_ns)
            return
        if self._stalled_since_ns is None:
            self._stalled_since_ns = now_ns
        elif now_ns - self._stalled_since_ns > self._t.stall_ns:
            self._end_all(End.STALLED, now_ns, now_ns - self._stalled_since_ns)

    def _resume_after_stall(self, now_ns: int) -> None:
        """Put every programme that fell due in the stall back by what it waited: nothing is made
        up.
        """
        self._stalled_since_ns = None
        for programme in self._running:
            if programme.due_ns < now_ns:
                programme.put_back(now_ns)

    def _on_time(self, programme: _Running, now_ns: int, due_ns: int) -> bool:
        """Judge the lateness of this step; False where it ended everything."""
        late_ns = now_ns - due_ns
        if late_ns > self._t.slip_fault_ns:
            self._end_all(End.LATE, now_ns, late_ns)
            return False
        behind_ns = now_ns - programme.due_ns
        if late_ns == behind_ns == 0:  # to the nanosecond, as virtual time is
            return True
        programme.worst_ns = max(programme.worst_ns, late_ns)
        absorbs_ns = self._absorbs_ns(programme)
        if late_ns > absorbs_ns:
            programme.shift_ns += behind_ns
            programme.slips += 1
            self._report_now = True
            self._slip_instants.append(now_ns)
            if (
                len(self._slip_instants) > _SLIPS_ALLOWED
                and now_ns - self._slip_instants[0] < self._t.slip_window_ns
            ):
                self._end_all(End.OFTEN_LATE, now_ns, late_ns)
                return False
        elif behind_ns > min(self._t.absorbed_ns, max(absorbs_ns, 2 * self._t.min_interval_ns)):
            programme.shift_ns += behind_ns
        return True

    def _absorbs_ns(self, programme: _Running) -> int:
        """Return the lateness that is no slip: under 50 ms, and under the programme's own interval
        unless it is faster than the motor and so runs at the motor's pace.
        """
        own_ns = programme.interval_ns
        paced = own_ns < self._t.min_interval_ns
        return self._t.absorbed_ns if paced else min(self._t.absorbed_ns, own_ns)

    def _step(self, programme: _Running, now_ns: int) -> None:
        """Issue one microstep, with the levels read just before it."""
        forward = programme.motion != Motion.REWIND
        direction = Direction.FORWARD if forward else Direction.REVERSE
        try:
            if self._driver_fault.is_active():
                self._end_all(End.DRIVER_FAULT, now_ns, 0)
                return
            if self._at_an_end(programme, forward=forward):
                if forward:
                    self._end_all(End.END_STOP, now_ns, 0)
                else:
                    self._at_back = True
                    self._finish(programme, End.DONE, now_ns, 0)
                return
            if direction != self._direction:
                self._axis.set_direction(direction)
                self._direction = direction
        except PinFault:  # before the edge: none went out
            self._end_all(End.PIN_FAULT, now_ns, 0)
            return
        try:
            self._axis.step()
        except ActuatorFault as fault:
            self._paid(programme, fault.issued_steps, now_ns)
            self._end_all(End.PIN_FAULT, now_ns, 0)
            return
        except PinFault:
            # Whether the edge went out is unknown, so it counts as issued: the guard's count
            # decides.
            self._paid(programme, 1, now_ns)
            self._end_all(End.PIN_FAULT, now_ns, 0)
            return
        self._paid(programme, 1, now_ns)
        if self._bursting is None:
            self._bursting, self._burst_left = programme, programme.quantum
        self._burst_left -= 1
        if self._burst_left:
            return
        self._bursting = None
        programme.plan()
        if programme.issued >= programme.steps:
            self._finish(programme, End.DONE, now_ns, 0)
        self._obey_deferred(now_ns)

    def _at_an_end(self, programme: _Running, *, forward: bool) -> bool:
        """Say whether the end stop ends this step. One line stands for both ends.

        A rewind may begin on the front one and ends on the back one: it leaves an active line
        behind, but for no more than a fiftieth of its way. A prime after it may leave the back one
        likewise; a dose leaves none.
        """
        if not self._end_stop.is_active():
            self._at_back = False
            self._left_end = True
            return False
        if not forward:
            leaves = not self._left_end and programme.issued < programme.steps // _END_PART
            return not leaves
        primes = programme.motion == Motion.PRIME
        if primes and self._at_back and self._left_back < self._end_steps:
            self._left_back += 1
            return False
        return True

    def _obey_deferred(self, now_ns: int) -> None:
        deferred, self._deferred = self._deferred, []
        for stop in deferred:
            self._obey(stop, now_ns)

    def _paid(self, programme: _Running, steps: int, now_ns: int) -> None:
        """Take ``steps`` from the lease and add them to every total."""
        self._last_step_ns = now_ns
        self.issued_steps += steps
        programme.issued += steps
        self._lease_left -= steps
        if self._lease_left <= 0 and self._leases:
            self._leases.popleft()
            self._lease_left = self._leases[0].steps if self._leases else 0
            self._report_now = True

    def _expire(self, now_ns: int) -> None:
        """End programmes whose time is over, and start what follows them, with their carry."""
        over = [
            one for one in self._running if one.until_ns <= now_ns and one.due_ns > one.until_ns
        ]
        for programme in over:
            self._finish(programme, End.DONE, programme.until_ns, 0)

    def _test(self, now_ns: int) -> None:
        """Make the next test edge, with ENABLE off: no step moves, the read-back must count it
        apart.
        """
        if not self._off or now_ns < self._last_step_ns + self._t.min_interval_ns:
            return
        wait_ns = self._axis.wait_ns() * self._t.speed
        if wait_ns:
            self._ready_ns = now_ns + wait_ns
            return
        try:
            self._axis.step()
        except (ActuatorFault, PinFault):
            self._test_left = 0
            self._end_all(End.PIN_FAULT, now_ns, 0)
            return
        if self._test_edges:  # the first one has nothing to be late against
            due_ns = max(self._last_step_ns + self._t.min_interval_ns, self._ready_ns)
            self._test_worst_ns = max(self._test_worst_ns, now_ns - due_ns)
        self._last_step_ns = now_ns
        self._test_left -= 1
        self._test_edges += 1
        if self._test_left == 0:
            total = ProgrammeTotal(0, self._test_edges, 0, 0, self._test_worst_ns)
            self._to_pumpd.append(total)
        self._report_now = True

    # ------------------------------------------------------------------ endings

    def _finish(self, programme: _Running, reason: End, at_ns: int, detail: int) -> None:
        """End one programme and hand its carry to the one that waits for it."""
        self._running.remove(programme)
        if self._bursting is programme:
            self._bursting = None
        left_over = programme.left_over(at_ns)
        follower = next((one for one in self._waiting if one.follows == programme.number), None)
        if follower is not None and reason is End.DONE:
            self._waiting.remove(follower)
            follower.carry += left_over
            self._start(follower, at_ns)
        elif reason is End.DONE and programme.steps == NO_LIMIT:
            self._left_over = {programme.number: left_over}
        self._report_end(programme, reason, at_ns, detail)
        if not self._running:
            self._tail_until_ns = at_ns + self._t.tail_ns
            self._stalled_since_ns = None

    def _end_all(self, reason: End, now_ns: int, detail: int) -> None:
        """End every programme, void the leases; a fault latches until the next run."""
        if reason > End.STOPPED and self._fault is None:
            self._fault = reason
        for programme in (*self._running, *self._waiting):
            self._report_end(programme, reason, now_ns, detail)
        was_running = bool(self._running)
        self._running.clear()
        self._waiting.clear()
        self._left_over.clear()
        self._stops += sum(stop.number == 0 for stop in self._deferred)
        self._deferred.clear()
        self._leases.clear()
        self._lease_left = 0
        self._bursting = None
        self._test_left = 0
        self._axis.revoke()
        self._stalled_since_ns = None
        if was_running:
            # After a fault ENABLE goes at once; after a stop the guard reads the last edges first.
            self._tail_until_ns = now_ns + self._t.tail_ns if reason is End.STOPPED else now_ns
        self._next_beat_ns = now_ns
        self._report_now = True

    def _report_end(self, programme: _Running, reason: End, at_ns: int, detail: int) -> None:
        left_over = programme.left_over(at_ns)
        if programme.motion == Motion.REWIND:
            left_over = 0  # it ends where the end stop is, and the way that is left is no debt
        elif reason is not End.DONE or programme.motion != Motion.DOSE:
            # Less than one step is carried on. Whole steps that a stall or the motor's pace held up
            # are not: nothing is made up.
            left_over = min(left_over, programme.per_step * programme.quantum - 1)
        high, low = halves(left_over)
        self._to_pumpd.append(
            ProgrammeTotal(
                programme.number,
                programme.issued,
                programme.shift_ns,
                programme.slips,
                programme.worst_ns,
            )
        )
        self._to_pumpd.append(
            Ended(
                programme.number,
                int(reason),
                programme.issued,
                programme.shift_ns,
                programme.slips,
                at_ns,
                high,
                low,
                detail,
                self.issued_steps,
            )
        )
        self._report_now = True

    # ------------------------------------------------------------------ beats and reports

    @property
    def _armed(self) -> bool:
        return bool(self._running)

    def _wants_enable(self, now_ns: int) -> bool:
        if self._fault is not None:
            return False
        if now_ns < self._tail_until_ns:
            return True
        if not self._running or self._test_left:
            return False
        if self._hold:
            return True
        next_ns = min(programme.due_ns for programme in self._running)
        return next_ns - now_ns <= self._t.lead_ns or now_ns - self._last_step_ns < self._t.tail_ns

    def _beat(self, now_ns: int) -> None:
        wants = self._wants_enable(now_ns)
        if wants != self._wanting:
            self._wanting = wants
            self._wish += 1
            self._enabled = self._off = False
            self._answered_ns = now_ns
            self._next_beat_ns = now_ns
        if now_ns >= self._next_beat_ns:
            if self._running:
                self._look(now_ns)
                if not self._running:
                    self._wanting = False
                    self._wish += 1
                    self._enabled = self._off = False
            busy = self._armed or self._wanting
            self._next_beat_ns = now_ns + (self._t.beat_ns if busy else self._t.rest_beat_ns)
            self._to_guard.append(self.beat(now_ns))
        if self._report_now or now_ns >= self._next_report_ns:
            self._report(now_ns)

    def beat(self, now_ns: int) -> Beat:
        """Return the beat as it is now: in virtual time the guard asks for it."""
        return Beat(
            self._run,
            self._leases[0].number if self._leases else 0,
            self.issued_steps,
            int(self._wanting),
            int(self._armed or self._wanting),
            self._wish,
            now_ns,
        )

    def _look(self, now_ns: int) -> None:
        """Read the levels between steps too: a fault at a basal rate is not left for minutes."""
        try:
            if self._driver_fault.is_active():
                self._end_all(End.DRIVER_FAULT, now_ns, 0)
            elif (
                self._end_stop.is_active()
                and self._running[0].motion != Motion.REWIND
                and not (self._at_back and self._running[0].motion == Motion.PRIME)
            ):
                self._end_all(End.END_STOP, now_ns, 0)
        except PinFault:
            self._end_all(End.PIN_FAULT, now_ns, 0)

    def _report(self, now_ns: int) -> None:
        self._report_now = False
        self._next_report_ns = now_ns + (
            self._t.report_ns if self._running else self._t.rest_beat_ns
        )
        for programme in self._running:
            self._to_pumpd.append(
                ProgrammeTotal(
                    programme.number,
                    programme.issued,
                    programme.shift_ns,
                    programme.slips,
                    programme.worst_ns,
                )
            )
        self._to_pumpd.append(
            Progress(
                self._run,
                self.issued_steps,
                self._leases[0].number if self._leases else 0,
                int(self._enabled),
                int(self._level(self._end_stop)),
                int(self._level(self._driver_fault)),
                self._test_edges,
                self._turns,
                self._stops,
                now_ns,
            )
        )

    def _level(self, line: InputLine) -> bool:
        try:
            return line.is_active()
        except PinFault:
            return True

    def _next_wake_ns(self, now_ns: int) -> int:
        step_ns = NO_LIMIT
        wake_ns = min(self._next_beat_ns, self._next_report_ns)
        if self._stalled_since_ns is not None:
            wake_ns = min(wake_ns, max(now_ns, self._stalled_since_ns + self._t.stall_ns) + 1)
        if self._wanting and self._tail_until_ns > now_ns:
            wake_ns = min(wake_ns, self._tail_until_ns)
        if self._wanting and not self._hold and self._last_step_ns + self._t.tail_ns > now_ns:
            wake_ns = min(wake_ns, self._last_step_ns + self._t.tail_ns)
        if self._test_left and self._off:
            wake_ns = min(
                wake_ns, max(self._last_step_ns + self._t.min_interval_ns, self._ready_ns)
            )
        ready_ns = max(self._last_step_ns + self._t.min_interval_ns, self._ready_ns)
        for programme in self._running:
            due_ns = programme.due_ns
            if due_ns < ready_ns:
                due_ns = ready_ns
            # In a stall only mail can help, and mail wakes the loop by itself.
            if due_ns <= wake_ns and (
                due_ns > now_ns or (self._may_step(programme) and self._stalled_since_ns is None)
            ):
                wake_ns = step_ns = due_ns
            if programme.until_ns < wake_ns and programme.due_ns > programme.until_ns:
                wake_ns = programme.until_ns
            if not self._hold and due_ns - self._t.lead_ns > now_ns:
                wake_ns = min(wake_ns, due_ns - self._t.lead_ns)
        self.wakes_to_step = now_ns < wake_ns == step_ns
        return wake_ns
