"""The second channel: counts what moved, compares it with what was leased, and holds ENABLE.

A core without clock, socket, thread or file. It shares no limit and no counting code with `pumpd`,
and nothing can order it to deliver. It believes the pin before any message: an edge counts as a
step only while ENABLE was seen on behind the one-shot, before and after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.guard.signals import (
    CHECK_MS,
    HIGH,
    LOW,
    MEDIUM,
    PAUSE_MS,
    buzzer_is_on,
    check_shows,
    lamp_is_on,
)
from appliance.records import (
    Alive,
    Beat,
    Button,
    Bye,
    CheckedRow,
    Counted,
    Direction,
    Enable,
    GuardHello,
    Head,
    Hello,
    Lease,
    LeasesClosed,
    LeaseTaken,
    Motion,
    Rearm,
    Record,
    Role,
    Signal,
    SignalCheck,
    TestEdges,
    Trip,
    Tripped,
)

_MS = 1_000_000
_OFF_BY = 2
_NO_HEAD = Head(0, 0, 0, 0, 0)
_NO_ROW = CheckedRow(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Timing:
    """The guard's own times in ns of the pump's clock: real times, multiplied by the demo's
    speed.
    """

    speed: int
    alive_ns: int
    feed_ns: int
    judge_ns: int
    rest_ns: int
    late_ns: int
    silence_ns: int
    alive_lost_ns: int
    extra_ns: int
    missing_ns: int
    feedback_ns: int
    settle_ns: int
    lapse_ns: int
    report_ns: int
    hour_ns: int

    @staticmethod
    def at(speed: int) -> Timing:
        """Return the times at ``speed``; the budgets' hour runs with the schedule, so it is not
        scaled.
        """
        ms = _MS * speed
        return Timing(
            speed=speed,
            alive_ns=20 * ms,
            feed_ns=10 * ms,
            judge_ns=25 * ms,
            rest_ns=50 * ms,
            late_ns=25 * ms,
            silence_ns=200 * ms,
            alive_lost_ns=2_000 * ms,
            extra_ns=100 * ms,
            missing_ns=1_000 * ms,
            feedback_ns=200 * ms,
            settle_ns=500 * ms,
            lapse_ns=45 * ms,
            report_ns=100 * ms,
            hour_ns=3_600_000 * _MS,
        )


@dataclass(frozen=True, slots=True)
class Budgets:
    """The most microsteps of each motion in any hour, in steps worked out by the guard itself."""

    dose_steps: int
    prime_steps: int
    rewind_steps: int

    def of(self, motion: int) -> int:
        """Return the budget of one motion, 0 for a motion that does not exist."""
        steps: dict[int, int] = {
            Motion.DOSE: self.dose_steps,
            Motion.PRIME: self.prime_steps,
            Motion.REWIND: self.rewind_steps,
        }
        return steps.get(motion, 0)


@dataclass(frozen=True, slots=True)
class PinReading:
    """The guard's inputs at one instant: feedback first, then edges, so that neither flatters the
    other.
    """

    enable_on: bool
    edges: int
    button: bool
    enable_lost: bool = False
    """The feedback was off at some moment since the last reading, whatever it says now."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the guard's own file keeps: a second opinion after any crash (``protocol.md`` section
    6).
    """

    run: int = 0
    counted_steps: int = 0
    doubtful_steps: int = 0
    apart_edges: int = 0
    issued_steps: int = 0
    lifetime_steps: int = 0
    trip: int = 0
    head: Head = _NO_HEAD
    checked: CheckedRow = _NO_ROW


@dataclass(frozen=True, slots=True)
class Outputs:
    """The guard's lines as they shall be now."""

    enable: bool
    alive: bool
    lamp_high: bool
    lamp_medium: bool
    lamp_low: bool
    buzzer: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What one turn asks of the world."""

    outputs: Outputs
    to_pumpd: list[Record]
    to_stepper: list[Record]
    save: Memory | None
    wake_ns: int


class Guard:
    """The core of ``pump-guard``."""

    def __init__(
        self,
        *,
        timing: Timing,
        budgets: Budgets,
        memory: Memory | None,
        readback: bool,
        one_shot: bool = True,
        pid: int,
    ) -> None:
        self._t = timing
        self._budgets = budgets
        self._readback = readback
        self._one_shot = one_shot
        self._toggled_ns: int | None = None
        self._lapsed = False
        self._pid = pid
        self._fresh = memory is None
        remembered = memory or Memory()
        self._run = remembered.run
        self._counted = remembered.counted_steps
        self._doubtful = remembered.doubtful_steps
        self._apart = remembered.apart_edges
        self._issued = remembered.issued_steps
        self._lifetime = remembered.lifetime_steps
        self._head = remembered.head
        self._checked = remembered.checked
        self._trip = Trip(remembered.trip)
        self._trip_detail = 0
        self._trip_at_ns = 0
        self._since_start = False
        self._edges: int | None = None
        self._announced_edges = 0
        self._leased = 0
        self._leases: deque[Lease] = deque()
        self._lease_left = 0
        self._last_lease = 0
        self._spent: deque[tuple[int, int, int]] = deque()
        self._hour_steps: dict[int, int] = {}
        self._pumpd = False
        self._alive_heard_ns = 0
        self._stepper_run: int | None = None
        self._beat_ns = 0
        self._armed = False
        self._want = False
        self._wish = 0
        self._barred_wish = -1
        self._enable = False
        self._seen_on = False
        self._enable_since_ns = 0
        self._off_since_ns = -self._t.settle_ns
        self._extra_sample: tuple[int, int] | None = None
        self._extra_since_ns: int | None = None
        self._missing_since_ns: int | None = None
        self._apart_since_ns: int | None = None
        self._feedback_since_ns: int | None = None
        self._button = False
        self._alive = False
        self._fed_ns = self._judged_ns = -self._t.rest_ns
        self._next_alive_ns = 0
        self._next_judge_ns = 0
        self._waits = False
        self._wake_ns = 0
        self._next_report_ns = 0
        self._reported: tuple[int, ...] = ()
        self._priority = 0
        self._sounding = self._trip is not Trip.NONE
        self._urgent = False
        self._signal_since_ns = 0
        self._paused_since_ns = 0
        self._check_since_ns: int | None = None
        self._turns = 0
        self._to_pumpd: list[Record] = []
        self._to_stepper: list[Record] = []
        self._save = False

    # ------------------------------------------------------------------ the one door

    def turn(self, now_ns: int, mail: Sequence[tuple[Role, Record]], reading: PinReading) -> Result:
        """Count first, then read the mail, then judge, then decide on ENABLE."""
        self._turns += 1
        self._look_back(now_ns, reading)
        self._count(now_ns, reading)
        if self._extra_sample is None:
            self._extra_sample = (now_ns, self._counted)
        for role, record in mail:
            self._read(now_ns, role, record)
        self._look_at_button(now_ns, reading)
        if now_ns >= self._next_judge_ns or (self._may_feed(now_ns) and not self._waits):
            woke_late = self._wake_ns and now_ns - self._wake_ns > self._t.late_ns
            self._judged_ns = now_ns
            if woke_late and not self._waits:
                self._waits = True  # one more period, and no more than one
            else:
                self._waits = False
                self._judge_silence(now_ns)
        self._judge_counts(now_ns)
        was_on = self._is_on()
        self._judge_feedback(now_ns, reading)
        self._decide(now_ns, reading, was_on=was_on)
        self._feed(now_ns)
        self._report(now_ns)
        rests = self._rests
        self._next_alive_ns = self._fed_ns + (self._t.rest_ns if rests else self._t.alive_ns)
        self._next_judge_ns = self._judged_ns + (self._t.rest_ns if rests else self._t.judge_ns)
        self._wake_ns = min(self._next_alive_ns, self._next_judge_ns)
        result = Result(
            self._outputs(now_ns),
            self._to_pumpd,
            self._to_stepper,
            self.memory if self._save else None,
            self._wake_ns,
        )
        # A trip between two turns, for a wire or a pin, goes out with the next one.
        self._to_pumpd, self._to_stepper, self._save = [], [], False
        return result

    def retime(self, now_ns: int, timing: Timing) -> None:
        """Take other times from now on, as if every beat until now had come and been answered.

        For virtual time, where beats are events only while something is wrong.
        """
        self._t = timing
        self._next_alive_ns = self._next_judge_ns = self._next_report_ns = now_ns
        self._fed_ns = now_ns - timing.feed_ns
        self._beat_ns = max(self._beat_ns, now_ns)
        self._alive_heard_ns = max(self._alive_heard_ns, now_ns)
        self._extra_sample = None
        self._wake_ns = now_ns
        if self._toggled_ns is not None:
            self._toggled_ns = now_ns

    def joined(self, now_ns: int, role: Role, hello: Hello) -> Result | None:
        """Take a new wire; its hello is its first record."""
        if role is Role.PUMPD:
            self._pumpd = True
            self._alive_heard_ns = now_ns
        elif role is Role.STEPPER:
            self._stepper_run = hello.run
            self._beat_ns = now_ns
            self._armed = self._want = False
            if hello.run != self._run:
                self._trip_now(Trip.BAD_RECORD, hello.run, now_ns)
        return None

    def greeting(self) -> list[Record]:
        """Return what `pumpd` and a visitor are told on their hello: the run that the guard saw,
        the ledger's head, and the row that a full check has passed.
        """
        return [
            GuardHello(
                self._run,
                self._counted,
                self._doubtful,
                self._apart,
                int(self._since_start),
                int(self._trip),
                self._lifetime,
                self._issued,
                int(self._fresh),
                self._pid,
            ),
            self._head,
            self._checked,
        ]

    def left(self, now_ns: int, role: Role, *, clean: bool) -> None:
        """Hear that a wire has ended, with its ``Bye`` or without."""
        if role is Role.PUMPD:
            if self._pumpd and not clean:
                self._trip_now(Trip.PUMPD_LOST, 0, now_ns)
            self._pumpd = False
            self._sounding = True  # a pause needs a pumpd that ends it
        elif role is Role.STEPPER:
            # One of an older run is nobody's loss: since the re-arm it could do nothing more.
            if self._stepper and not clean:
                self._trip_now(Trip.STEPPER_LOST, 0, now_ns)
            self._stepper_run = None
            self._armed = self._want = False

    def pin_fault(self, now_ns: int) -> None:
        """Hear that a pin could not be read or set."""
        self._trip_now(Trip.PIN_FAULT, 0, now_ns)

    # ------------------------------------------------------------------ counting

    def _look_back(self, now_ns: int, reading: PinReading) -> None:
        """Know of a lapse of ENABLE since the last turn, by the guard's own clock and by the line.

        The level alone does not tell: by the time it is read the gate may be open again.
        """
        late_ns = now_ns - self._toggled_ns if self._toggled_ns is not None else 0
        overslept = self._one_shot and self._enable and late_ns >= self._t.lapse_ns
        self._lapsed = overslept or (self._is_on() and reading.enable_lost)
        if self._lapsed:
            self._trip_now(Trip.FEEDBACK, late_ns, now_ns)

    def _count(self, now_ns: int, reading: PinReading) -> None:
        if self._edges is None:
            self._edges = reading.edges
        new = reading.edges - self._edges
        self._edges = reading.edges
        if new <= 0:
            return
        if self._enable and self._seen_on and reading.enable_on and not self._lapsed:
            self._counted += new
            self._lifetime += new
            self._spend(now_ns, new)
        elif self._enable or now_ns - self._off_since_ns < self._t.settle_ns:
            # ENABLE went off, or its one-shot ran out, while these came: moved or not, nobody
            # knows.
            self._doubtful += new
            self._spend(now_ns, new)
        else:
            self._apart += new

    def _spend(self, now_ns: int, steps: int) -> None:
        """Charge counted steps to the motion of the lease that they fall into."""
        left = steps
        while left:
            motion = self._leases[0].motion if self._leases else Motion.DOSE
            taken = min(left, self._lease_left) if self._leases else left
            self._spent.append((now_ns, int(motion), taken))
            self._hour_steps[int(motion)] = self._hour_steps.get(int(motion), 0) + taken
            left -= taken
            if self._leases:
                self._lease_left -= taken
                if self._lease_left == 0:
                    self._leases.popleft()
                    self._lease_left = self._leases[0].steps if self._leases else 0
        while self._spent and self._spent[0][0] <= now_ns - self._t.hour_ns:
            _, motion, gone = self._spent.popleft()
            self._hour_steps[motion] -= gone
        for motion, spent in self._hour_steps.items():
            if spent > self._budgets.of(motion):
                self._trip_now(Trip.BUDGET, spent, now_ns)

    # ------------------------------------------------------------------ mail

    def _read(self, now_ns: int, role: Role, record: Record) -> None:
        if role is Role.STEPPER:
            if isinstance(record, Beat) and record.run == self._run:
                self._beat(now_ns, record)
            return
        if isinstance(record, CheckedRow):
            self._checked = record
            self._save = True
        if role is Role.VISITOR:
            return  # whatever else it says: it has no part in delivery
        self._alive_heard_ns = now_ns
        match record:
            case Lease() as lease:
                self._take(now_ns, lease)
            case LeasesClosed(run, issued_steps):
                if run == self._run:
                    # What is said to be out lowers the allowance, and never raises it.
                    self._leased = min(self._leased, max(issued_steps, self._counted))
                    self._leases.clear()
                    self._lease_left = 0
                    self._save = True
            case Head() as head:
                self._head = head
                self._save = True
            case Rearm(run, acknowledged):
                self._rearm(now_ns, run, acknowledged=bool(acknowledged))
            case TestEdges(count):
                self._announced_edges += count
            case Signal() as signal:
                self._take_signal(now_ns, signal)
            case SignalCheck():
                self._check_since_ns = now_ns
            case Alive() | Bye() | CheckedRow() | Hello():
                pass
            case _:
                self._trip_now(Trip.BAD_RECORD, record.KIND, now_ns)

    def _take_signal(self, now_ns: int, signal: Signal) -> None:
        resumes = signal.sounding and not self._sounding
        if signal.priority != self._priority or resumes:
            self._signal_since_ns = now_ns  # from its beginning, so that it is heard at once
        self._priority, self._urgent = signal.priority, bool(signal.urgent)
        # Only a pumpd that shows the trip may pause its sound.
        if self._trip is Trip.NONE or signal.priority == HIGH:
            if self._sounding and not signal.sounding:
                self._paused_since_ns = now_ns
            self._sounding = bool(signal.sounding)

    def _take(self, now_ns: int, lease: Lease) -> None:
        """Write down a lease, unless it is one that no honest pump announces."""
        forward = lease.direction == Direction.FORWARD
        if lease.motion not in list(Motion) or lease.direction not in list(Direction):
            self._trip_now(Trip.BAD_RECORD, lease.number, now_ns)
        elif forward == (lease.motion == Motion.REWIND):
            self._trip_now(Trip.REVERSE, lease.number, now_ns)
        elif lease.number <= self._last_lease or lease.steps <= 0 or len(self._leases) > 2:
            self._trip_now(Trip.BAD_RECORD, lease.number, now_ns)
        else:
            self._last_lease = lease.number
            self._leased += lease.steps
            self._leases.append(lease)
            if len(self._leases) == 1:
                self._lease_left = lease.steps
            self._to_pumpd.append(LeaseTaken(lease.number))
            self._save = True

    def _rearm(self, now_ns: int, run: int, *, acknowledged: bool) -> None:
        if self._trip is not Trip.NONE and acknowledged:
            self._trip = Trip.NONE
        self._run = run
        self._since_start = True
        self._counted = self._doubtful = self._apart = self._issued = 0
        self._leased = self._last_lease = self._lease_left = self._announced_edges = 0
        self._leases.clear()
        self._armed = self._want = False
        self._wish, self._barred_wish = 0, -1  # wishes are numbered from 0 in every run
        self._extra_sample = None
        self._extra_since_ns = self._missing_since_ns = self._apart_since_ns = None
        self._feedback_since_ns = None
        self._beat_ns = now_ns
        # ENABLE belongs to the new run: an edge from now on is no straggler of the one before.
        self._off_since_ns = now_ns - self._t.settle_ns
        self._save = True
        self._to_pumpd.extend(self.greeting())

    def _beat(self, now_ns: int, beat: Beat) -> None:
        self._beat_ns = now_ns
        if not self._readback:
            # Without the wire the stepper's word is all there is, for leases and budgets alike.
            self._spend(now_ns, max(0, beat.issued_steps - self._issued))
        self._issued = beat.issued_steps
        self._armed = bool(beat.armed)
        self._want = bool(beat.want_enable)
        self._wish = beat.wish
        if self._extra_sample is not None and beat.at_ns >= self._extra_sample[0]:
            # The beat is younger than the sample, so it must hold every edge that the sample saw.
            extra = self._extra_sample[1] - beat.issued_steps
            self._extra_sample = None
            if extra < _OFF_BY:
                self._extra_since_ns = None
            elif self._extra_since_ns is None:
                self._extra_since_ns = now_ns
            elif now_ns - self._extra_since_ns >= self._t.extra_ns:
                self._trip_now(Trip.EXTRA_EDGES, extra, now_ns)
        self._to_stepper.append(Enable(int(self._is_on()), beat.wish))

    # ------------------------------------------------------------------ judging

    def _judge_silence(self, now_ns: int) -> None:
        if self._stepper and (self._armed or self._enable):
            silent_ns = now_ns - self._beat_ns
            if silent_ns >= self._t.silence_ns:
                self._trip_now(Trip.SILENCE, silent_ns, now_ns)
        if self._pumpd:
            silent_ns = now_ns - self._alive_heard_ns
            if silent_ns >= self._t.alive_lost_ns:
                self._trip_now(Trip.ALIVE_LOST, silent_ns, now_ns)

    def _judge_counts(self, now_ns: int) -> None:
        if not self._readback or not self._since_start:
            return
        missing = self._issued - self._counted - self._doubtful
        if missing < _OFF_BY:
            self._missing_since_ns = None
        elif self._missing_since_ns is None:
            self._missing_since_ns = now_ns
        elif now_ns - self._missing_since_ns >= self._t.missing_ns:
            self._trip_now(Trip.MISSING_EDGES, missing, now_ns)
        unleased = self._counted - self._leased
        if unleased >= _OFF_BY:
            self._trip_now(Trip.UNLEASED_EDGES, unleased, now_ns)
        stray = self._apart - self._announced_edges
        if stray < _OFF_BY:
            self._apart_since_ns = None
        elif self._apart_since_ns is None:
            self._apart_since_ns = now_ns
        elif now_ns - self._apart_since_ns >= self._t.extra_ns:
            self._trip_now(Trip.EXTRA_EDGES, stray, now_ns)

    def _judge_feedback(self, now_ns: int, reading: PinReading) -> None:
        """Compare ENABLE as set with ENABLE as seen behind the one-shot."""
        if self._enable and self._seen_on and not reading.enable_on:
            self._trip_now(Trip.FEEDBACK, 0, now_ns)
        if reading.enable_on == self._enable:
            self._feedback_since_ns = None
            self._seen_on = self._enable
        elif self._feedback_since_ns is None:
            self._feedback_since_ns = now_ns
        elif now_ns - self._feedback_since_ns >= self._t.feedback_ns:
            self._trip_now(Trip.FEEDBACK, int(reading.enable_on), now_ns)

    def _look_at_button(self, now_ns: int, reading: PinReading) -> None:
        if reading.button and not self._button:
            self._barred_wish = self._wish
            self._to_pumpd.append(Button(now_ns))
        self._button = reading.button

    def _trip_now(self, trip: Trip, detail: int, now_ns: int) -> None:
        """Latch the first cause; a later one changes nothing."""
        if self._trip is not Trip.NONE:
            return
        self._trip, self._trip_detail, self._trip_at_ns = trip, detail, now_ns
        self._signal_since_ns = now_ns
        self._sounding = True  # pumpd may be frozen: it is not waited for
        self._to_pumpd.append(Tripped(int(trip), detail, now_ns))
        self._save = True

    # ------------------------------------------------------------------ ENABLE and the rest

    @property
    def _stepper(self) -> bool:
        """Say whether the stepper of this run is there."""
        return self._stepper_run == self._run

    def _is_on(self) -> bool:
        return self._enable and self._seen_on

    def _decide(self, now_ns: int, reading: PinReading, *, was_on: bool) -> None:
        may = (
            self._trip is Trip.NONE
            and self._stepper
            and self._pumpd
            and not self._button
            and self._wish != self._barred_wish
        )
        enable = self._want and may
        if enable and not self._enable:
            self._enable_since_ns = now_ns
            self._seen_on = False
        if self._enable and not enable:
            self._off_since_ns = now_ns
            self._seen_on = False
            self._save = True
        self._enable = enable
        if enable and reading.enable_on and now_ns > self._enable_since_ns:
            self._seen_on = True
        if self._is_on() != was_on or (self._want and not may):
            self._to_stepper.append(Enable(int(self._is_on()), self._wish))

    def _may_feed(self, now_ns: int) -> bool:
        return now_ns >= self._fed_ns + self._t.feed_ns

    def _feed(self, now_ns: int) -> None:
        """Toggle ALIVE: every 20 ms by itself, and from 10 ms on with any turn that mail brought.

        A beat costs no wake of its own, and leaves the one-shot 40 ms for a late one instead of 30.
        At rest, with nothing to hold the gate open for, every 50 ms do.
        """
        if self._may_feed(now_ns):
            self._alive = not self._alive
            self._fed_ns = self._toggled_ns = now_ns

    @property
    def _rests(self) -> bool:
        """Say whether ENABLE is off and wanted by nobody, nothing is shown or heard, and nothing is
        suspected: then the next look may be later.
        """
        if self._enable or self._want or self._armed or self._button or self._priority:
            return False
        suspected = (self._missing_since_ns, self._apart_since_ns, self._feedback_since_ns)
        quiet = self._trip is Trip.NONE and self._check_since_ns is None
        return quiet and suspected == (None, None, None)

    def _outputs(self, now_ns: int) -> Outputs:
        priority = HIGH if self._trip is not Trip.NONE else self._priority
        if not self._sounding and now_ns - self._paused_since_ns >= PAUSE_MS * _MS * self._t.speed:
            # The second channel ends a pause that the first one has forgotten.
            self._sounding, self._signal_since_ns = True, now_ns
        sounding = self._sounding or (self._trip is not Trip.NONE and not self._pumpd)
        since_ns = (now_ns - self._signal_since_ns) // self._t.speed
        lamp = priority if lamp_is_on(priority, since_ns) else 0
        buzzer = sounding and buzzer_is_on(priority, since_ns, urgent=self._urgent)
        if priority:
            self._check_since_ns = None  # an alarm is shown as itself
        elif self._check_since_ns is not None:
            checked_ns = (now_ns - self._check_since_ns) // self._t.speed
            lamp, buzzer = check_shows(checked_ns)
            if checked_ns >= CHECK_MS * _MS:
                self._check_since_ns = None
        return Outputs(
            enable=self._enable,
            alive=self._alive,
            lamp_high=lamp == HIGH,
            lamp_medium=lamp == MEDIUM,
            lamp_low=lamp == LOW,
            buzzer=buzzer,
        )

    def _report(self, now_ns: int) -> None:
        if not self._pumpd:
            return
        totals = (
            self._run,
            self._counted,
            self._doubtful,
            self._apart,
            int(self._is_on()),
            int(self._button),
        )
        if totals == self._reported and now_ns < self._next_report_ns:
            return
        self._reported = totals
        self._next_report_ns = now_ns + self._t.report_ns
        self._to_pumpd.append(Counted(*totals, self._turns))

    @property
    def memory(self) -> Memory:
        """Return what the file should keep."""
        return Memory(
            self._run,
            self._counted,
            self._doubtful,
            self._apart,
            self._issued,
            self._lifetime,
            int(self._trip),
            self._head,
            self._checked,
        )
