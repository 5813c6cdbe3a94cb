"""The pump: one writer of state. Events in, effects out; no clock, thread, socket or file inside.

``turn`` takes what has happened, moves every part on by what it means, and returns what to do. The
order is always the same: hear everything, judge, write, then move. A step can only follow from a
durable lease, and a lease only from a durable intent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.domain.alarms import AlarmCode
from appliance.domain.limits import DAY_NS, HOUR_NS, Limits, Reason
from appliance.domain.outcomes import Bounds, Certainty, DoseKind, Outcome
from appliance.domain.states import PumpState, moved
from appliance.domain.units import NS_PER_H, NS_PER_S, format_dose
from appliance.engine import recovery
from appliance.engine.alarms import AlarmBoard
from appliance.engine.alerts import AlertsDesk
from appliance.engine.basal import Basal
from appliance.engine.battery import BatteryDesk
from appliance.engine.board import BoardDesk
from appliance.engine.bolus import BolusDesk, record_of_rows
from appliance.engine.book import Book
from appliance.engine.cartridge import CartridgeDesk
from appliance.engine.context import Context, Machine
from appliance.engine.desk import Desk
from appliance.engine.glucose import GlucoseDesk
from appliance.engine.light_and_sound import LightAndSoundDesk
from appliance.engine.line import LineDesk
from appliance.engine.lock import LockDesk
from appliance.engine.messages import (
    Asked,
    BatteryGauge,
    Board,
    Checked,
    CheckResult,
    ClientGone,
    ClockRead,
    Done,
    Effect,
    Event,
    Exit,
    Feedback,
    Force,
    Found,
    FromGuard,
    FromStepper,
    GuardLost,
    GuardUp,
    HeadChecked,
    KillStepper,
    NotFound,
    PinDone,
    PowerLine,
    Publish,
    Ready,
    Refused,
    Reply,
    StepperLost,
    StopSent,
    Terminate,
    ToGuard,
    ToStepper,
    Unknown,
    WriteRefused,
    WriteTrouble,
    Written,
)
from appliance.engine.motor import Job, Motor, Phase, never_begun
from appliance.engine.onboard import OnBoardDesk
from appliance.engine.preferences import PreferencesDesk
from appliance.engine.profiles import ProfileDesk
from appliance.engine.record import RecordDesk
from appliance.engine.recovery import Witness
from appliance.engine.reminders import RemindersDesk
from appliance.engine.selftest import SelfTest
from appliance.engine.settings import SettingsDesk
from appliance.engine.snapshot import snapshot_of
from appliance.engine.temp import TempBasal, TempDesk
from appliance.engine.touch import TouchDesk
from appliance.ports import ClockQuality, ClockReading, Entry, Row
from appliance.records import (
    NO_LIMIT,
    Button,
    Bye,
    Counted,
    End,
    Ended,
    GuardHello,
    Head,
    LeaseTaken,
    Motion,
    ProgrammeTotal,
    Progress,
    Realtime,
    Record,
    Trip,
    Tripped,
)

_CLOCK_STEP_NS = 2 * NS_PER_S
_SLEPT_NS = NS_PER_S
_CHECKPOINT_ROWS = 1_000
_WORD_OF_STOP_NS = NS_PER_S // 2
_BUTTON_NS = NS_PER_S
_PART: Mapping[str, str] = {DoseKind.BOLUS.value: "now", DoseKind.EXTENDED.value: "extended"}
_PUBLISH_EVERY_NS = 50_000_000
_LOOK_CLOSELY_MS = 50
_LOOK_AT_BASAL_MS = 100
_LOOK_AT_REST_MS = 250

_ALARM_OF_END: Mapping[End, tuple[AlarmCode, str]] = {
    End.LATE: (AlarmCode.TIMING_FAULT, "a step came more than 200 ms late"),
    End.OFTEN_LATE: (AlarmCode.TIMING_FAULT, "more than ten steps in a minute came late"),
    End.STALLED: (
        AlarmCode.TIMING_FAULT,
        "the motor waited more than 5 s for a lease or for ENABLE",
    ),
    End.DISABLED: (AlarmCode.GUARD_TRIP, "the guard switched ENABLE off"),
    End.END_STOP: (AlarmCode.END_OF_TRAVEL, "the plunger has reached its end stop"),
    End.DRIVER_FAULT: (AlarmCode.MOTOR_FAULT, "the motor driver reports a fault"),
    End.PIN_FAULT: (AlarmCode.MOTOR_FAULT, "a pin of the motor could not be driven"),
    End.WIRE_LOST: (AlarmCode.MOTOR_FAULT, "the stepper lost a wire"),
}

_TRIP_TEXT: Mapping[Trip, str] = {
    Trip.SILENCE: "the stepper was silent for {ms} ms",
    Trip.ALIVE_LOST: "pumpd was silent for {ms} ms",
    Trip.PUMPD_LOST: "pumpd ended without a word",
    Trip.STEPPER_LOST: "the stepper ended without a word",
    Trip.EXTRA_EDGES: "{n} edges more than were issued",
    Trip.MISSING_EDGES: "{n} edges fewer than were issued",
    Trip.UNLEASED_EDGES: "{n} edges more than were leased",
    Trip.BUDGET: "the hourly budget is spent: {n} steps",
    Trip.REVERSE: "lease {n} asks for a direction that its motion does not have",
    Trip.FEEDBACK: "ENABLE is not what it was set to",
    Trip.PIN_FAULT: "a pin of the guard failed",
    Trip.BAD_RECORD: "a record that no honest pump sends ({n})",
}


def trip_text(trip: Trip, detail: int, speed: int) -> str:
    """Say why the guard tripped, with its number."""
    text = _TRIP_TEXT.get(trip, trip.name.lower().replace("_", " "))
    return text.format(n=detail, ms=detail // (1_000_000 * speed))


class Pump:
    """The engine."""

    def __init__(
        self,
        machine: Machine,
        book: Book,
        reading: ClockReading,
        *,
        ledger_lines: Sequence[CheckResult],
        new_run: Callable[[], int],
        secret: bytes,
        watched: bool = True,
    ) -> None:
        """Take the book as recovery folded it; ``ledger_lines`` are the chain's checks.

        With ``watched`` false it publishes no snapshot: nobody is there to see one.
        """
        self._c = Context(machine, book, reading)
        self._watched = watched
        self._new_run = new_run
        self._rows_before = book.seq
        self.state = PumpState.STARTING
        self._was = PumpState(book.state)
        self._motor = Motor(self._c, self._may_lease)
        self._c.uncounted_steps = self._uncounted_steps
        self._alarms = AlarmBoard(self._c)
        self._temp = TempBasal(self._c)
        self._basal = Basal(self._c, self._motor, self._temp)
        self._bolus = BolusDesk(self._c, self._motor, self._basal, secret)
        self._basal.has_room = self._has_room
        self._on_board = OnBoardDesk(
            self._c, self._motor, self._basal, self._bolus, watched=watched
        )
        self._alerts = AlertsDesk(
            self._c, self._alarms, self._basal, lambda: self.state, self._stop_everything
        )
        self._signals = LightAndSoundDesk(
            self._c,
            self._alarms,
            self._guard_silent_ns,
            guard_signals=lambda: self._guard_tripped,
            may_check=lambda: self._ready_said,
        )
        self._line = LineDesk(self._c, self._alarms, self._fault)
        self._board = BoardDesk(self._c, self._alarms, self._stop_everything)
        self._battery = BatteryDesk(self._c, self._alarms, self._stop_everything)
        self._lock = LockDesk(self._c)
        self._touch = TouchDesk(self._c, self._alarms)
        self._cartridge = CartridgeDesk(
            self._c,
            self._motor,
            self._alarms,
            lambda: self.state,
            self._test_for_cartridge,
            secret,
        )
        self._desks: tuple[Desk, ...] = (
            SettingsDesk(self._c, self._motor, self._basal),
            self._alerts,
            self._signals,
            self._line,
            self._board,
            self._battery,
            self._lock,
            self._touch,
            self._cartridge,
            RemindersDesk(self._c, self._alarms),
            PreferencesDesk(self._c),
            ProfileDesk(self._c, self._basal),
            GlucoseDesk(
                self._c,
                self._alarms,
                self._basal,
                state=lambda: self.state,
                end_extended=self._end_extended,
            ),
            RecordDesk(self._c, self._alarms),
            self._on_board,
            TempDesk(self._c, self._temp, self._basal, lambda: self.state),
        )
        # Most have nothing to do from turn to turn: those are not asked.
        self._tending = [one for one in self._desks if type(one).tend is not Desk.tend]
        self._waking = [one for one in self._desks if type(one).wake_ns is not Desk.wake_ns]
        self._schedule_wake_ns = self._c.now_ns
        self._verbs = {
            verb: answers for desk in self._desks for verb, answers in desk.verbs.items()
        }
        self._bolus.others = self._against_bolus
        self._bolus.energy = self._battery.against_bolus_of
        self._test = SelfTest(self._c)
        self._ledger_lines = list(ledger_lines)
        self._why: list[str] = []
        self._realtime: Realtime | None = None
        self._guard_up = False
        self._guard_hello: GuardHello | None = None
        self._guard_tripped = False
        self._guard_pid = 0
        self._head: Head | None = None
        self._head_checked = False
        self._guard_heard_ns = self._c.now_ns
        self._recovered = False
        self._recovering = False
        self._clean_start = book.clean and not book.leases and not book.open_doses
        before, now = book.config_sha256, machine.config_sha256
        changed = before not in ("", now)  # a new ledger knows of none
        self._config_change = f"{before[:12]} before, {now[:12]} now" if changed else ""
        self._ready_said = False
        self._resume_tokens: list[int] = []
        self._resume_wanted: tuple[bool, str] | None = None
        self._stop_tokens: list[tuple[int, list[str]]] = []
        self._foretold: list[str] = []  # what an urgent stop ended before its request was read
        self._ending = ""
        self._ended = False
        self._spent = False
        self._button_ns = -_BUTTON_NS * 1_000
        self._kill_ns: int | None = None
        self._last_checkpoint = book.seq
        self._published_ns = -NO_LIMIT
        self._sequence = 0
        self._last_seq_told = 0
        body = {
            "version": machine.version,
            "config_sha256": machine.config_sha256,
            "mechanics": {
                "ratio_uu": machine.mechanics.ratio_uu,
                "ratio_steps": machine.mechanics.ratio_steps,
                "quantum_steps": machine.mechanics.quantum_steps,
            },
            "clean_before": self._clean_start,
            "checks": [f"{one.name}: {one.text}" for one in ledger_lines],
        }
        self._c.write([self._c.entry("start", body)])

    @property
    def book(self) -> Book:
        """Return the book, to be read: rows alone change it."""
        return self._c.book

    @property
    def rows_before(self) -> int:
        """Return how many rows the ledger had when this pump started; 0 for a new one."""
        return self._rows_before

    # ------------------------------------------------------------------ the one door

    def turn(self, now_ns: int, inbox: Sequence[Event]) -> tuple[list[Effect], int]:
        """Hear what has happened until ``now_ns``; return what to do and when to be woken."""
        self._c.now_ns = now_ns
        for event in inbox:
            self._hear(event)
        self._advance()
        self._publish()
        return self._c.out.drain(), self._wake_ns()

    # ------------------------------------------------------------------ hearing

    def _hear(self, event: Event) -> None:
        if self._watched and not self._c.changed:
            self._c.changed = self._is_news(event)
        match event:
            case ClockRead(reading):
                self._read_clock(reading)
            case FromStepper(run, record):
                if run == self._motor.run:
                    self._hear_stepper(record)
            case FromGuard(record):
                self._hear_guard(record)
            case Written(batch, rows):
                self._c.trouble = ""
                self._alarms.clear(AlarmCode.LEDGER_FAILURE)
                self._c.written(batch, rows)
                self._tell_head(rows)
            case WriteTrouble(_, text):
                self._ledger_trouble(text)
            case WriteRefused(batch, text):
                self._c.forget(batch)
                if not self._bolus.refused_by_ledger(batch):
                    self._ledger_trouble(text)
            case Found(token, rows):
                found = record_of_rows(rows)
                answer = Done(found) if found else _refused("no_such_dose", "no dose has this id")
                self._c.add(Reply(token, answer))
            case NotFound(token, text):
                self._c.add(Reply(token, Unknown(f"the ledger cannot be read: {text}")))
            case StopSent(run, count, why):
                if run == self._motor.run:
                    self._foretell(why)
                    self._motor.stop_was_sent(count)
            case StepperLost(run, text):
                if run == self._motor.run:
                    self._stepper_lost(text)
            case GuardUp():
                self._guard_up = True
                self._guard_heard_ns = self._c.now_ns
                self._alarms.forget_signal()
                self._test.guard_is_up()
            case GuardLost(text):
                self._guard_lost(text)
            case HeadChecked(ok, text):
                self._head_is_checked(ok=ok, text=text)
            case Force(force_mn, text):
                self._hear_force(force_mn, text)
            case Feedback(flags):
                self._signals.hear_feedback(flags)
            case Board(temperature_c, flags):
                self._board.hear(temperature_c, flags)
            case BatteryGauge(percent, text):
                self._battery.hear_gauge(percent, text)
            case PowerLine(failing, text):
                self._battery.hear_line(failing=failing, text=text)
            case Checked(results):
                self._test.hear_checked(results)
            case PinDone(token, verdict):
                self._lock.hear(token, verdict)
            case ClientGone(connection):
                self._lock.gone(connection)
                self._touch.gone(connection)
                self._bolus.client_gone(connection)
            case Asked() as asked:
                self._bolus.connected(asked.connection)
                self._answer(asked)
            case Terminate(why):
                self._ending = self._ending or why
            case _:
                pass

    def _is_news(self, event: Event) -> bool:
        """Say whether clients are shown something new at once.

        A pump at rest hears the same totals many times a second. What a reading of force or clock
        leads to is written, and that is news; the reading itself is shown once a second.
        """
        match event:
            case ClockRead() | Feedback() | Force() | Board() | BatteryGauge():
                return False
            case FromStepper(_, Progress() as now):
                before = self._motor.progress
                return before is None or _shown_of(now) != _shown_of(before)
            case FromStepper(_, ProgrammeTotal(number=number, issued_steps=issued_steps)):
                job = self._motor.jobs.get(number)
                return job is None or job.issued_steps != issued_steps
            case FromGuard(Counted() as counted):
                last = self._motor.counted
                return last is None or _counts_of(counted) != _counts_of(last)
            case _:
                return True

    def _hear_stepper(self, record: Record) -> None:
        self._test.hear(record)
        match record:
            case Progress():
                self._motor.hear_progress(record)
            case ProgrammeTotal(number=number) if number:
                slips_before = self._motor.jobs[number].slips if number in self._motor.jobs else 0
                self._motor.hear_total(record)
                if record.slips > slips_before:
                    self._record_slip(record)
            case Ended():
                self._hear_end(record)
            case Realtime():
                self._realtime = record
            case _:
                pass

    def _hear_end(self, ended: Ended) -> None:
        job = self._motor.hear_end(ended)
        if job is None:
            return
        reason = End(ended.reason)
        if reason <= End.STOPPED:
            return
        if reason is End.DISABLED and self._c.now_ns - self._button_ns < self._real(_BUTTON_NS):
            self._stop_everything("the stop button was pressed")
            return
        code, text = _ALARM_OF_END.get(reason, (AlarmCode.MOTOR_FAULT, reason.name.lower()))
        if ended.detail:
            text += f" ({ended.detail // (1_000_000 * self._c.machine.speed)} ms)"
        self._fault(code, text)

    def _record_slip(self, total: ProgrammeTotal) -> None:
        body = {
            "programme": total.number,
            "slips": total.slips,
            "shift_ns": total.shift_ns,
            "worst_ns": total.worst_ns,
        }
        self._c.write([self._c.entry("slip", body)])

    def _hear_guard(self, record: Record) -> None:
        self._guard_heard_ns = self._c.now_ns
        self._test.hear(record)
        match record:
            case GuardHello() as hello:
                self._guard_pid = hello.pid
                self._guard_tripped = bool(hello.trip)
                if self._guard_hello is None:
                    self._guard_hello = hello
            case Head() as head:
                self._head = head
            case LeaseTaken() as taken:
                self._motor.hear_taken(taken)
            case Counted() as counted:
                self._motor.hear_count(counted)
            case Tripped(trip, detail, _):
                self._guard_tripped = True
                kind = Trip(trip)
                text = trip_text(kind, detail, self._c.machine.speed)
                body = {"trip": kind.name.lower(), "text": text, "detail": detail}
                self._c.write([self._c.entry("guard", body)])
                if self.state is not PumpState.STARTING:
                    self._explain(End.DISABLED, text)
                    self._fault(AlarmCode.GUARD_TRIP, text)
            case Button():
                self._button_ns = self._c.now_ns
                self._alerts.used("button")
                self._stop_everything("the stop button was pressed")
            case _:
                pass

    def _read_clock(self, reading: ClockReading) -> None:
        before = self._c.reading
        step_ns = (reading.utc_ns - reading.mono_ns) - (before.utc_ns - before.mono_ns)
        moved_zone = reading.offset_s != before.offset_s
        self._c.reading = reading
        if abs(step_ns) > _CLOCK_STEP_NS:
            body = {"step_ns": step_ns, "old_utc_ns": reading.utc_ns - step_ns}
            self._c.write([self._c.entry("clock", body)])
            self._alarms.raise_(
                AlarmCode.CLOCK_STEPPED, f"the wall clock was set by {step_ns // NS_PER_S:+d} s"
            )
        if abs(step_ns) > _CLOCK_STEP_NS or moved_zone:
            self._basal.anchor_anew()
        slept_ns = reading.slept_ns - before.slept_ns
        if slept_ns > _SLEPT_NS:
            self._has_slept(slept_ns)
        if reading.quality is ClockQuality.NOT_SET:
            self._alarms.raise_(AlarmCode.CLOCK_NOT_SET, "the wall clock is before this program")
        else:
            self._alarms.clear(AlarmCode.CLOCK_NOT_SET)

    def _has_slept(self, slept_ns: int) -> None:
        """Record a sleep of the computer, and wait for a person: nobody knows what has changed."""
        text = f"the computer slept for {slept_ns // NS_PER_S} s, and nothing was delivered"
        self._c.write([self._c.entry("sleep", {"slept_ns": slept_ns, "text": text})])
        self._explain(End.LATE, text)
        if self.state is PumpState.RUNNING:
            self._fault(AlarmCode.SLEPT, text)
        else:
            self._alarms.raise_(AlarmCode.SLEPT, text)

    def _hear_force(self, force_mn: int | None, text: str) -> None:
        self._c.force_mn = force_mn
        if force_mn is None:
            self._alarms.raise_(AlarmCode.SENSOR_FAULT, text)
            if self._c.machine.force_required and self._bolus.running:
                self._end_bolus("the force sensor gives no true reading")
            return
        self._alarms.clear(AlarmCode.SENSOR_FAULT)
        # Not only while it steps: the sensor's thread has stopped the motor before this is heard.
        self._line.hear_force(force_mn, running=self.state is PumpState.RUNNING)

    # ------------------------------------------------------------------ faults

    def _fault(self, code: AlarmCode, text: str) -> None:
        """Stop everything, latch the first cause, and wait for a person."""
        self._alarms.raise_(code, text)
        for job in self._motor.jobs.values():
            if not job.why:
                job.why, job.fault = text, True
        self._halt()
        if self.state in (PumpState.FAULTED, PumpState.INHIBITED):
            return  # the first cause stands, and nothing moves
        if self.state is PumpState.STARTING and not self._recovered:
            self._was = PumpState.FAULTED
            return
        self._spent = True
        self._why = [text]
        if self.state in (PumpState.RUNNING, PumpState.STARTING):
            self._line.stopped()
        self._move(PumpState.FAULTED, text)

    def _explain(self, end: End, text: str) -> None:
        """Say why, where the stepper, which only sees what it came to, spoke first."""
        code, known = _ALARM_OF_END[end]
        self._alarms.explain(code, known, text)
        self._why = [text if why.startswith(known) else why for why in self._why]

    def _halt(self) -> None:
        self._basal.stop()
        self._bolus.stop()
        self._close_queue()
        self._motor.release()

    def _close_queue(self) -> None:
        """Close what has waited for the motor and is not to start any more."""
        for job in self._motor.take_queue():
            self._basal.drop(job.number)
            self._bolus.closed(job)
            self._c.write([self._c.entry("closed", never_begun(job))])

    def _stepper_lost(self, text: str) -> None:
        self._spent = True
        if self._motor.phase is Phase.OFF:
            return
        self._motor.lost()
        if not self._ending and self.state is not PumpState.STARTING:
            self._fault(AlarmCode.MOTOR_FAULT, f"pump-stepper ended: {text}")

    def _guard_lost(self, text: str) -> None:
        self._guard_up = False
        self._motor.guard_whole = False
        if not self._ending and self.state is not PumpState.STARTING:
            self._fault(AlarmCode.GUARD_TRIP, f"pump-guard is gone: {text}")

    def _ledger_trouble(self, text: str) -> None:
        if not self._c.trouble:
            self._c.trouble = text
            self._bolus.trouble(text)
        self._fault(AlarmCode.LEDGER_FAILURE, f"the ledger cannot be written: {text}")

    def _move(self, target: PumpState, why: str) -> None:
        before, self.state = self.state, moved(self.state, target)
        body = {"from": before.value, "to": target.value, "why": why}
        self._c.write([self._c.entry("state", body)])
        self._c.changed = True

    # ------------------------------------------------------------------ moving on

    def _advance(self) -> None:
        self._start_up()
        self._test.turn()
        if self._test.over:
            self._self_test_is_over()
        self._watch()
        if self._recovered:
            self._temp.turn()
            self._on_board.turn()
        self._basal.turn()
        self._motor.turn()
        self._close_single_jobs()
        self._close_release()
        self._resume_if_wanted()
        self._answer_stops()
        self._checkpoint()
        self._end_if_wanted()
        self._alarms.signal()

    def _watch(self) -> None:
        if self._motor.phase is Phase.ACTIVE and self._guard_up:
            silent_ns = self._c.now_ns - self._guard_heard_ns
            if silent_ns > self._c.times.guard_silent_ns:
                self._motor.guard_whole = False
                self._fault(AlarmCode.GUARD_TRIP, "pump-guard is silent")
        forsaken = self._bolus.forsaken()
        if forsaken:
            self._end_jobs(forsaken, "nobody could have stopped it")
            self._alarms.raise_(
                AlarmCode.NO_LIVE_STOP, "no client, touchscreen or stop button was live for 3 s"
            )
        if self._basal.on and self._basal.held_since_ns is None:
            self._alarms.clear(AlarmCode.LIMIT_HELD)
        for desk in self._tending:
            desk.tend()

    def _guard_silent_ns(self) -> int | None:
        return self._c.now_ns - self._guard_heard_ns if self._guard_up else None

    def _against_bolus(self) -> list[Reason]:
        return [reason for desk in self._desks for reason in desk.against_bolus()]

    def _may_lease(self, motion: Motion, wanted_steps: int) -> int:
        """Return how many steps the next lease may have: 0 where limits or the reservoir leave
        none.
        """
        if motion is Motion.REWIND:  # the syringe is out: there is nothing to run empty
            return wanted_steps
        mechanics, limits = self._c.machine.mechanics, self._c.limits
        left_uu = self._c.reservoir_uu
        if limits is None or left_uu is None:
            return 0
        open_steps = sum(one.steps for one in self._motor.leases)
        # Everything leased and not counted yet may go out before this lease does.
        held_uu = mechanics.uu_of_up(open_steps)
        uncounted_uu = mechanics.uu_of_up(self._uncounted_steps())
        steps = min(wanted_steps, mechanics.steps_within(left_uu + uncounted_uu - held_uu))
        if steps <= 0 and wanted_steps > 0:
            if self._motor.leased_ahead_steps <= 0:
                self._fault(AlarmCode.EMPTY, "the reservoir is empty")
            return 0
        if motion is Motion.DOSE:
            asked_uu = held_uu - uncounted_uu + mechanics.uu_of_up(steps)
            full = self._full_window(limits, asked_uu)
            if full is not None:
                self._hold(*full)
                return 0
        return steps

    def _full_window(self, limits: Limits, asked_uu: int) -> tuple[int, int] | None:
        """Return limit and length of the window that ``asked_uu`` more would overfill, or None."""
        for window_ns, limit_uu in ((HOUR_NS, limits.hourly_uu), (DAY_NS, limits.daily_uu)):
            if self._bolus.used_uu(window_ns) + asked_uu > limit_uu:
                return limit_uu, window_ns
        return None

    def _has_room(self) -> bool:
        """Say whether the windows have room for two leases: then held basal may go on."""
        limits = self._c.limits
        return limits is not None and not self._full_window(limits, 2 * self._c.machine.lease_uu)

    def _hold(self, limit_uu: int, window_ns: int) -> None:
        """A window is full: basal is held, and a bolus that should have fitted ends."""
        text = f"{format_dose(limit_uu)} within {window_ns // NS_PER_H} h leave no room"
        if self._bolus.running:
            self._end_bolus(f"window limit: {text}")
        if self._basal.on and self._basal.held_since_ns is None:
            self._alarms.raise_(AlarmCode.LIMIT_HELD, text)
        if self._basal.on:
            self._basal.hold()

    def _uncounted_steps(self) -> int:
        if self._motor.phase is Phase.OFF:
            return self._c.book.open_lease_steps
        return self._motor.uncounted_steps()

    # ------------------------------------------------------------------ starting up

    def _start_up(self) -> None:
        """Recover, then test, then come back as it was after a clean end; else stay FAULTED."""
        if self._recovered or self._recovering:
            return
        waited_ns = self._c.now_ns - self._c.start_ns
        guard = self._guard_hello
        settled = guard is not None and self._head_checked and waited_ns >= self._c.times.settle_ns
        if not settled and waited_ns < self._c.times.self_test_ns:
            return
        self._recovering = True
        witness = None
        if guard is not None:
            counted = self._motor.counted if self._motor.counted else None
            witness = Witness(
                guard.run,
                counted.counted_steps if counted else guard.counted_steps,
                counted.doubtful_steps if counted else guard.doubtful_steps,
                guard.issued_steps,
                bool(guard.since_start),
            )
        entries = recovery.closing_entries(self._c, witness, self._c.machine.readback)
        if entries:
            self._c.write(entries, self._recover)
        else:
            self._recover([])

    def _recover(self, rows: Sequence[Row]) -> None:
        self._recovered = True
        self._tell_uncertain([row.entry.body for row in rows if row.entry.kind == "closed"])
        if not self._clean_start:
            self._alarms.raise_(
                AlarmCode.UNCLEAN_RESTART, "pumpd ended without a clean stop; no dose was resumed"
            )
        bad = [one for one in self._ledger_lines if not one.ok]
        if bad:
            self._alarms.raise_(AlarmCode.HISTORY_UNKNOWN, "; ".join(one.text for one in bad))
        if self._config_change:
            text = f"the configuration is not that of the last start: {self._config_change}"
            self._alarms.raise_(AlarmCode.CONFIG_CHANGED, text)
        if not self._clean_start or self._was is PumpState.FAULTED or bad or self._config_change:
            why = "the pump did not end cleanly: acknowledge the alarms, then resume"
            if self._clean_start and self._config_change:
                why = "the configuration was changed: acknowledge that, then resume"
            self._why = [one.text for one in bad] or [why]
            if self._was is PumpState.RUNNING:
                self._line.stopped()
            self._move(PumpState.FAULTED, "recovery")
            self._say_ready(ok=False)
            return
        self._begin_test(acknowledged=False)

    def _head_is_checked(self, *, ok: bool, text: str) -> None:
        self._head_checked = True
        if not ok:
            self._ledger_lines.append(CheckResult("history", ok=False, text=text))

    def _begin_test(self, *, acknowledged: bool) -> None:
        run = self._new_run()
        self._motor.start_run(run)
        self._spent = False
        self._kill_ns = None

        def durable(_rows: Sequence[Row]) -> None:
            lines = [one for one in self._ledger_lines if acknowledged is False or one.ok]
            ends = self._cartridge.wants_motor
            self._test.start(run, lines, acknowledged=acknowledged, may_stand_at_end=ends)

        self._c.write([self._c.entry("run", {"run": run})], durable)

    def _self_test_is_over(self) -> None:
        passed = self._test.take()
        lines = self._test.lines
        body = {
            "passed": passed,
            "lines": [f"{one.name}: {'ok' if one.ok else 'FAILED'}: {one.text}" for one in lines],
        }
        self._c.write([self._c.entry("self_test", body)])
        self._why = [f"{one.name}: {one.text}" for one in lines if not one.ok]
        against: list[Reason] = []  # what came up while the test ran
        if self.state is not PumpState.STARTING:
            passed = False  # a fault came in between and has the last word
        elif not passed:
            self._spent = True
            self._alarms.raise_(AlarmCode.SELF_TEST, "; ".join(self._why))
            self._move(PumpState.INHIBITED, "; ".join(self._why))
            self._motor.release()
        else:
            target = self._target()
            if target is PumpState.RUNNING:
                against = [one for desk in self._desks for one in desk.against_resume()]
            if against:
                target = PumpState.SUSPENDED
            self._move(target, "; ".join(one.text for one in against) or "self-test passed")
            if target is PumpState.RUNNING:
                self._basal.start()
        self._say_ready(ok=passed)
        if not passed:
            self._cartridge.self_test_failed([Reason("self_test", text) for text in self._why])
        tokens, self._resume_tokens = self._resume_tokens, []
        answer: Done | Refused = Done({"state": self.state.value})
        if against or not passed:
            answer = Refused(against or [Reason("self_test", text) for text in self._why])
        for token in tokens:
            self._c.add(Reply(token, answer))

    def _target(self) -> PumpState:
        if self._resume_tokens:
            return PumpState.RUNNING
        if self._cartridge.wants_motor:
            return PumpState.SUSPENDED
        known = (PumpState.RUNNING, PumpState.SUSPENDED, PumpState.STOPPED)
        return self._was if self._was in known else PumpState.STOPPED

    def _say_ready(self, *, ok: bool) -> None:
        if not self._ready_said:
            self._ready_said = True
            self._c.add(Ready(ok))

    # ------------------------------------------------------------------ closing doses

    def _close_single_jobs(self) -> None:
        """Close programmes that ended while others go on, and void the leases when none is left."""
        if self._motor.phase not in (Phase.ACTIVE, Phase.IDLE):
            return
        for job in list(self._motor.jobs.values()):
            if job.ended is None or job.closing or not self._motor.settled(job):
                continue
            if self._awaits_word_of_stop(job):
                continue
            job.closing = True
            bounds = self._motor.single_bounds(job)
            self._write_closed(job, bounds)
            self._give_back_carry()
        live = [one for one in self._motor.jobs.values() if one.ended is None or not one.closing]
        # What is on its way to the disk will want the leases in a moment.
        coming = self._basal.beginning or self._bolus.beginning
        if self._motor.phase is Phase.ACTIVE and not live and not coming:
            self._motor.release()

    def _awaits_word_of_stop(self, job: Job) -> bool:
        """Return whether a stop from another thread may have ended a job, and its word is due."""
        if job.ended is None or job.ended.reason != End.STOPPED or job.why:
            return False
        return self._c.now_ns - job.ended_at_ns < self._real(_WORD_OF_STOP_NS)

    def _give_back_carry(self) -> None:
        for job in self._motor.jobs.values():
            if (
                job.kind == DoseKind.BASAL.value
                and job.ended is None
                and job.given
                and job.until_ns - self._c.now_ns > self._real(NS_PER_S)
            ):
                self._motor.give_carry(job.number)

    def _write_closed(self, job: Job, bounds: Bounds) -> None:
        def durable(_rows: Sequence[Row]) -> None:
            self._motor.jobs.pop(job.number, None)
            self._basal.drop(job.number)
            self._bolus.closed(job)

        self._c.write([self._c.entry("closed", self._closed_body(job, bounds))], durable)

    def _closed_body(self, job: Job, bounds: Bounds) -> dict[str, Any]:
        reason = End(job.ended.reason) if job.ended else None
        finished = job.issued_steps >= job.steps
        certainty = bounds.certainty
        if certainty is Certainty.UNCERTAIN and reason is None:
            outcome = Outcome.UNCERTAIN
        elif reason is End.DONE and (
            finished or job.steps == NO_LIMIT or job.motion is Motion.REWIND
        ):
            outcome = Outcome.DONE
        elif reason in (End.STOPPED, End.DISABLED) and job.why and not job.fault:
            outcome = Outcome.STOPPED
        else:
            outcome = Outcome.FAULT
        why = job.why or (self._why[0] if self._why and outcome is not Outcome.DONE else "")
        programmed_uu, programmed_steps = job.programmed_uu, job.steps
        if job.steps == NO_LIMIT:
            programmed_uu = self._motor.asked_uu(job)
            programmed_steps = job.issued_steps
        return {
            "request_id": job.request_id,
            "outcome": outcome.value,
            "why": why,
            "programmed_uu": programmed_uu,
            "programmed_steps": programmed_steps,
            "issued_steps": max(job.issued_steps, bounds.confirmed_steps),
            "confirmed_steps": bounds.confirmed_steps,
            "maximum_steps": bounds.maximum_steps,
            "certainty": certainty.value,
            "confirmed_by": self._motor.confirmed_by,
            "shift_ns": job.shift_ns,
        }

    def _close_release(self) -> None:
        """When everything has ended and is counted: the last rows, in one transaction."""
        if not self._motor.ready_to_close():
            return
        jobs = [one for one in self._motor.jobs.values() if not one.closing]
        entries: list[Entry] = self._motor.closing_entries()
        bodies = []
        for job in jobs:
            job.closing = True
            nothing = Bounds(0, 0)
            bounds = self._motor.job_bounds(job) if job.given else nothing
            bodies.append(self._closed_body(job, bounds))
        entries += [self._c.entry("closed", body) for body in bodies]
        if not entries:
            self._closed([])
            return
        self._c.write(entries, self._closed)
        self._tell_uncertain(bodies)

    def _tell_uncertain(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Raise the alarm for doses that are not exact: each with its own two bounds."""
        mechanics = self._c.machine.mechanics
        texts = []
        for body in bodies:
            if body["certainty"] == Certainty.EXACT.value:
                continue
            low, high = body["confirmed_steps"], body["maximum_steps"]
            kind = self._c.book.doses[body["request_id"]].kind
            texts.append(
                f"{kind}: between {format_dose(mechanics.uu_of(low))} and "
                f"{format_dose(mechanics.uu_of_up(high))} went out ({low} to {high} steps)"
            )
        if texts:
            self._alarms.raise_(
                AlarmCode.DELIVERY_UNCERTAIN, "; ".join(sorted(texts, reverse=True))
            )

    def _closed(self, rows: Sequence[Row]) -> None:
        closed = list(self._motor.jobs.values())
        self._motor.closed(rows)
        for job in closed:
            self._basal.drop(job.number)
            self._bolus.closed(job)
        if self._motor.phase is Phase.OFF:
            self._close_queue()
        if self._spent or self._motor.phase is Phase.OFF:
            self._motor.end_run()
            self._c.add(KillStepper())

    # ------------------------------------------------------------------ stop, suspend, resume, end

    def _stop_everything(self, why: str) -> None:
        """End every dose and owe no basal; the pump is suspended until somebody resumes it."""
        for job in self._motor.jobs.values():
            job.why = job.why or why
        self._halt()
        if self.state is PumpState.RUNNING:
            self._move(PumpState.SUSPENDED, why)

    def _foretell(self, why: str) -> None:
        """Give what a client's stop has ended its reason: the request itself may come late."""
        if not why:
            return
        self._foretold = self._stoppable()
        for job in self._motor.jobs.values():
            job.why = job.why or why

    def _stoppable(self) -> list[str]:
        """Return the ids of what runs."""
        return [
            one.request_id
            for one in self._motor.jobs.values()
            if not one.closing and one.start_ns <= self._c.now_ns
        ]

    def _end_bolus(self, why: str) -> None:
        self._bolus.stop()
        self._end_jobs(self._bolus.running, why)

    def _end_extended(self, why: str) -> None:
        extended = [one for one in self._bolus.jobs if one.kind == DoseKind.EXTENDED.value]
        self._end_jobs([one for one in extended if one.ended is None], why)

    def _end_jobs(self, jobs: Sequence[Job], why: str) -> None:
        for job in jobs:
            job.why = job.why or why
            self._motor.stop(job.number)

    def _answer_stops(self) -> None:
        """Answer a stop when what it stopped is closed, with the exact part that went out."""
        if self._motor.phase in (Phase.RELEASING, Phase.CLOSING):
            return
        left = []
        for token, ids in self._stop_tokens:
            doses = [self._c.book.doses[one] for one in ids if one in self._c.book.doses]
            if any(one.open for one in doses) and self._motor.phase is not Phase.OFF:
                left.append((token, ids))
                continue
            self._c.add(Reply(token, Done({"stopped": [one.record() for one in doses]})))
        self._stop_tokens = left

    def _resume_reasons(self) -> list[Reason]:
        reasons = [
            Reason(
                "unacknowledged",
                f"alarm {one.number} ({one.text}) is not acknowledged: pumpctl ack {one.number}",
            )
            for one in self._alarms.blocking()
        ]
        if self.state is PumpState.STARTING:
            reasons.append(Reason("state", "the self-test is running"))
        if self._c.limits is None:
            reasons.append(Reason("no_limits", "no limits are set: pumpctl limits set"))
        if self._basal.profile is None:
            reasons.append(
                Reason("no_profile", "no basal profile is in use: pumpctl basal import, then use")
            )
        if self._c.reservoir_uu is None:
            reasons.append(
                Reason("no_cartridge", "no cartridge is loaded: pumpctl cartridge load AMOUNT")
            )
        if self._c.trouble:
            reasons.append(Reason("ledger", f"the ledger cannot be written: {self._c.trouble}"))
        force_mn, limit_mn = self._c.force_mn, self._c.machine.force_threshold_mn
        if force_mn is not None and force_mn >= limit_mn:
            reasons.append(
                Reason(
                    "pressure",
                    f"the plunger is still pushed with {force_mn} mN: free the line first",
                    "force_mn",
                    str(force_mn),
                    f"below {limit_mn}",
                )
            )
        return [*reasons, *(one for desk in self._desks for one in desk.against_resume())]

    def _resume(self, token: int) -> None:
        if self.state is PumpState.RUNNING:
            self._c.add(Reply(token, Done({"state": self.state.value})))
            return
        if self.state is PumpState.STARTING and self._resume_tokens:
            self._resume_tokens.append(token)
            return
        reasons = self._resume_reasons()
        if reasons:
            self._c.add(Reply(token, Refused(reasons)))
            return
        self._resume_tokens.append(token)

    def _resume_if_wanted(self) -> None:
        """Resume as soon as the motor's paper is closed: at once, or through the self-test."""
        if not self._resume_tokens or self.state is PumpState.STARTING:
            return
        if self._motor.phase in (Phase.ACTIVE, Phase.RELEASING, Phase.CLOSING):
            return
        easy = self.state in (PumpState.SUSPENDED, PumpState.STOPPED)
        if easy and self._motor.phase is Phase.IDLE and not self._spent and self._guard_up:
            self._move(PumpState.RUNNING, "resumed")
            self._basal.start()
            tokens, self._resume_tokens = self._resume_tokens, []
            for token in tokens:
                self._c.add(Reply(token, Done({"state": self.state.value})))
            return
        # A person has acknowledged what happened: an older ledger, or a broken wire, is known now.
        self._ledger_lines = [one for one in self._ledger_lines if one.ok]
        self._move(PumpState.STARTING, "resume: self-test")
        self._begin_test(acknowledged=True)

    def _test_for_cartridge(self) -> None:
        """Begin a run for a change of the cartridge: the end stop that it leaves is no fault."""
        self._ledger_lines = [one for one in self._ledger_lines if one.ok]
        self._move(PumpState.STARTING, "cartridge: self-test")
        self._begin_test(acknowledged=True)

    def _end_if_wanted(self) -> None:
        if not self._ending or self._ended:
            return
        self._halt_for_end()
        if self._motor.phase in (Phase.ACTIVE, Phase.RELEASING, Phase.CLOSING):
            return
        if self._c.writes_outstanding:
            return
        self._ended = True
        entries = [
            self._c.entry("checkpoint", self._c.book.body()),
            self._c.entry("end", {"why": self._ending}),
        ]
        self._c.write(entries, self._say_goodbye)

    def _halt_for_end(self) -> None:
        for job in self._motor.jobs.values():
            job.why = job.why or self._ending
        self._basal.stop()
        self._bolus.stop()
        self._close_queue()
        if self._motor.phase is Phase.ACTIVE:
            self._motor.release()

    def _say_goodbye(self, _rows: Sequence[Row]) -> None:
        if self._motor.phase is not Phase.OFF:
            self._c.add(ToStepper(Bye()))
        self._c.add(ToGuard(Bye()))
        self._c.add(Exit())

    # ------------------------------------------------------------------ requests

    def _answer(self, asked: Asked) -> None:
        """Answer a request, or see that it is answered later."""
        self._alerts.used(asked.method)
        if self._lock.bars(asked):
            return
        match asked.method:
            case "status" | "subscribe":
                self._done(asked, self.snapshot())
            case "bolus.review":
                self._done(asked, self._bolus.review(asked.params, self.state))
            case "bolus.deliver":
                self._bolus.deliver(
                    asked.token, asked.connection, asked.uid, asked.params, self.state
                )
            case "dose.lookup":
                self._look_up(asked)
            case "stop":
                self._stop(asked)
            case "suspend":
                self._stop(asked)
            case "resume":
                self._resume(asked.token)
            case "heartbeat":
                self._bolus.heartbeat(asked.connection)
                self._done(asked, {})
            case "alarms":
                self._done(asked, {"alarms": self._alarms.listed()})
            case "alarms.acknowledge":
                self._acknowledge(asked)
            case method if method in self._verbs:
                self._verbs[method](asked)
            case _:
                self._refuse(asked, [Reason("unknown_method", f"no method {asked.method!r}")])

    def _done(self, asked: Asked, result: Mapping[str, Any]) -> None:
        self._c.add(Reply(asked.token, Done(result)))

    def _refuse(self, asked: Asked, reasons: Sequence[Reason]) -> None:
        self._c.add(Reply(asked.token, Refused(reasons)))

    def _look_up(self, asked: Asked) -> None:
        known = self._c.book.doses.get(asked.params["request_id"])
        if known is not None:
            self._done(asked, self._bolus.live_record(known))
        else:
            self._bolus.find(asked.token, asked.params["request_id"])

    def _stop(self, asked: Asked) -> None:
        why = "stopped by a person" if asked.method == "stop" else "suspended by a person"
        ids = self._stoppable()
        what = asked.params.get("what", "all")
        if what == "all":
            ids = list(dict.fromkeys([*self._foretold, *ids]))
            self._foretold = []
            self._stop_everything(why)
        else:
            jobs = [one for one in self._bolus.jobs if what in ("bolus", _PART[one.kind])]
            ids = [one.request_id for one in jobs]
            self._bolus.stop()
            self._end_jobs([one for one in jobs if one.ended is None], why)
        self._stop_tokens.append((asked.token, ids))

    def _acknowledge(self, asked: Asked) -> None:
        number = asked.params["number"]
        if number is not None and number not in self._c.book.alarms:
            reason = Reason(
                "unknown_alarm", f"no alarm has the number {number}", "number", str(number)
            )
            self._refuse(asked, [reason])
            return
        numbers: list[int] = []
        numbers += self._alarms.acknowledge(
            number,
            f"uid {asked.uid}",
            lambda: self._done(asked, {"acknowledged": numbers}),
        )

    # ------------------------------------------------------------------ records, snapshot, wake

    def _tell_head(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        digest = rows[-1].digest
        parts = [int.from_bytes(digest[at : at + 8], "big", signed=True) for at in (0, 8, 16, 24)]
        self._c.add(ToGuard(Head(rows[-1].seq, *parts)))

    def _checkpoint(self) -> None:
        if self._c.book.seq - self._last_checkpoint < _CHECKPOINT_ROWS:
            return
        if self._c.writes_outstanding or self._c.trouble:
            return
        self._last_checkpoint = self._c.book.seq
        self._c.write([self._c.entry("checkpoint", self._c.book.body())])

    def _real(self, duration_ns: int) -> int:
        return duration_ns * self._c.machine.speed

    def _publish(self) -> None:
        """Publish on change and once a second; always before an answer, which it must not
        contradict.
        """
        if not self._watched:
            return
        since_ns = self._c.now_ns - self._published_ns
        due = since_ns >= self._c.times.publish_ns
        answers = any(isinstance(one, Reply) for one in self._c.out.effects)
        if due or answers or (self._c.changed and since_ns >= self._real(_PUBLISH_EVERY_NS)):
            self._published_ns = self._c.now_ns
            self._c.changed = False
            self._sequence += 1
            self._c.out.effects.insert(0, Publish(self.snapshot()))

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state for clients, frozen at this turn."""
        shown = snapshot_of(
            self._c,
            sequence=self._sequence,
            state=self.state,
            why=self._why,
            motor=self._motor,
            basal=self._basal,
            temp=self._temp,
            desk=self._bolus,
            on_board=self._on_board,
            alarms=self._alarms,
            lines=self._test.lines or self._ledger_lines,
            realtime=self._realtime,
            guard_pid=self._guard_pid if self._guard_up else 0,
        )
        for desk in self._desks:
            shown.update(desk.in_snapshot())
        return shown

    @property
    def look_ms(self) -> int:
        """Return how often force and feedback want to be read now, in real milliseconds.

        From the threshold to the stop may take 200 ms (SR-26): basal leaves half of that, and moves
        the plunger little meanwhile. At rest nothing presses; lamps and buzzer are watched closely
        while they are on. From a supply that fails to a closed ledger it may take as long (SR-60),
        so with a power-fail line whatever moves is watched closely.
        """
        if self._signals.watches:
            return _LOOK_CLOSELY_MS
        if self._motor.phase in (Phase.OFF, Phase.IDLE):
            return _LOOK_AT_REST_MS
        basal = DoseKind.BASAL.value
        alone = all(job.kind == basal for job in self._motor.jobs.values())
        relaxed = alone and not self._c.machine.power_line
        return _LOOK_AT_BASAL_MS if relaxed else _LOOK_CLOSELY_MS

    @property
    def settled(self) -> bool:
        """Say whether nothing is under way that only the next look can end: no self-test, no
        recovery, no release of the motor, and no request that waits for one of them.
        """
        return not (self._awaits or self._resume_tokens or self._stop_tokens)

    @property
    def schedule_wake_ns(self) -> int:
        """Return when the schedule has something to do, as of the last turn: basal, alarms, or any
        of the desks.
        """
        return self._schedule_wake_ns

    @property
    def _awaits(self) -> bool:
        moves = self._motor.phase in (Phase.RELEASING, Phase.CLOSING) or self._test.running
        return moves or bool(self._ending) or not self._recovered

    def _wake_ns(self) -> int:
        soon = self._awaits or self._bolus.job is not None
        step_ns = self._real(20_000_000 if soon else 250_000_000)
        wakes_ns = [desk.wake_ns() for desk in self._waking]
        self._schedule_wake_ns = min(self._basal.wake_ns(), self._alarms.wake_ns(), *wakes_ns)
        return max(self._c.now_ns + 1, min(self._c.now_ns + step_ns, self._schedule_wake_ns))


def _shown_of(one: Progress) -> tuple[int, ...]:
    """Return a total without its instant."""
    levels = (one.enabled, one.end_stop, one.driver_fault)
    return (one.run, one.issued_steps, one.lease_number, *levels, one.test_edges, one.stops)


def _counts_of(one: Counted) -> tuple[int, ...]:
    totals = (one.counted_steps, one.doubtful_steps, one.apart_edges)
    return (one.run, *totals, one.enabled, one.button)


def _refused(code: str, text: str) -> Refused:
    return Refused([Reason(code, text)])
