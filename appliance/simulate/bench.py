"""A whole pump in one thread and on a virtual clock: the real engine, stepper and guard over the
plant.

Nothing sleeps: the clock jumps to whatever happens next. For unit tests, and for a user's own (the
pytest fixture ``bench``). Wires have no delay, and the ledger is durable at once unless a test
says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo, available_timezones

from appliance.client.messages import GUARDED
from appliance.domain.battery import Battery
from appliance.domain.limits import Limits
from appliance.domain.mechanics import Mechanics
from appliance.domain.occlusion import Line
from appliance.domain.units import NS_PER_MS, NS_PER_S, parse_dose
from appliance.engine import messages as m
from appliance.engine.book import Book
from appliance.engine.context import Machine
from appliance.engine.pump import Pump
from appliance.errors import LedgerFault, LedgerUnknown, SensorFault, WireLost
from appliance.guard import core as guards
from appliance.ports import ClockQuality, ClockReading, Ledger, Row
from appliance.records import NO_LIMIT, Alive, Bye, Head, Hello, Realtime, Record, Role, Stop
from appliance.simulate.fake_ledger import FakeLedger
from appliance.stepper import loop as steppers
from drivers.assembly import GuardHardware, StepperHardware, guard_hardware, stepper_hardware
from drivers.battery import BenchCells, GaugeOf
from drivers.bench_wire import POWER_FAILS, Channel
from drivers.mock.mock_bench import MockBench
from drivers.mock.plant import Plant
from drivers.mock.settings import BenchSettings

_ALIVE = Alive(0)
WIDE_LIMITS = Limits(25_000_000, 60_000_000, 300_000_000, 35_000_000, 10)
"""Limits that stay out of the way of a test that is about something else."""
_IDS = UUID("0b7a3f52-54f5-5b0e-8f5e-3f2c9f3a1d10")
_START_UTC_NS = 1_800_000_000 * NS_PER_S
_READBACK = 5
_KEPT = 200
_PINS = {
    "enable_n": 22,
    "alive": 23,
    "enable_feedback_n": 6,
    "stop_button_n": 13,
    "buzzer": 12,
    "lamp_high": 16,
    "lamp_medium": 20,
    "lamp_low": 21,
}


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


class Refusal(Exception):
    """The pump refused a request; ``reasons`` are its sentences."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class VirtualBench:
    """One pump on one bench. Every verb runs the clock only as far as its answer needs."""

    _watched = True

    def __init__(
        self,
        *,
        ledger: Ledger | None = None,
        mechanics: Mapping[str, int] | None = None,
        hold: str = "reduced",
        limits: Limits = WIDE_LIMITS,
        basal_uu_per_h: int = 1_000_000,
        set_up: bool = True,
        readback: bool = True,
        stop_button: bool = True,
        pace: int = 1,
        signals: str = "feedback",
        sensors_ms: int = 0,
        battery: Battery | None = None,
        compliance_nl_per_kpa: float = 20.0,
        lease_uu: int = 50_000,
        zone: str = "",
        start_utc_ns: int | None = None,
        start_ns: int = 1_000 * NS_PER_S,
    ) -> None:
        """Build it, let its self-test run, and unless told otherwise set it up and start basal.

        With ``pace`` above 1 the supervision (beats, watchdogs, settling) is that much slower and
        a run that much faster; doses, schedules and counts are the same. Faults need ``pace`` 1.
        With ``sensors_ms`` force sensor and alarm feedback are read as often as that; ``signals``
        is who checks light and sound at a start. With ``battery`` its gauge is read once a second
        at most, and the power-fail line at every look.
        ``zone`` such as "Europe/Berlin" moves local time at the zone's own instants. ``start_ns``
        is what the monotonic clock says at the beginning: how long the computer has been up.
        """
        table = {
            "bore_um": 8_660,
            "lead_um": 1_000,
            "full_steps": 200,
            "microsteps": 16,
            **(mechanics or {}),
        }
        one_shot = "present" if pace == 1 else "none"
        self._pace = pace
        self.now_ns = start_ns
        self._outages_ns = 0
        begun_utc_ns = _START_UTC_NS if start_utc_ns is None else start_utc_ns
        self._wall_offset_ns = begun_utc_ns - self.now_ns
        self.synchronised = False
        self._slept_ns = 0
        self._zone = ZoneInfo(zone) if zone else None
        self.boot = 1
        self.mechanics = Mechanics.of(**{"concentration_u_per_ml": 100, **table}, hold=hold)
        self.ledger: Ledger = ledger if ledger is not None else FakeLedger()
        self.bench = MockBench(
            BenchSettings(
                bore_um=table["bore_um"],
                lead_um=table["lead_um"],
                full_steps=table["full_steps"],
                microsteps=table["microsteps"],
                capacity_nl=3_100_000,
                hold=hold,
                one_shot=one_shot,
                start_ns=self.now_ns,
                compliance_nl_per_kpa=compliance_nl_per_kpa,
            ),
            lambda: self.now_ns + self._outages_ns,
        )
        self._readback, self._stop_button, self._hold = readback, stop_button, hold
        self._signals, self._sensors_ns = signals, sensors_ms * NS_PER_MS
        self._over = False
        self._board: m.Board | None = None
        self._battery = battery
        self._gauge = GaugeOf(lambda: BenchCells(self._sample))
        self._next_gauge_ns = 0
        self._power_line: m.PowerLine | None = None
        self.pin = ""
        self.config_sha256 = "0" * 64
        self._lease_uu = lease_uu
        self._runs = 0
        self._tokens = 0
        self._connection = 1
        self._ids = 0
        self._answers: dict[int, m.Answer] = {}
        self.snapshots: list[Mapping[str, Any]] = []
        self.log: list[m.Effect] = []
        self.stepper_said: list[Record] = []
        self.stalled_disk = False
        self._queued: list[m.Write] = []
        self.pump: Pump | None = None
        self.guard: guards.Guard | None = None
        self.stepper: steppers.Stepper | None = None
        self._guard_lines: GuardHardware | None = None
        self._outputs: guards.Outputs | None = None
        self._stepper_lines: StepperHardware | None = None
        self._guard_memory: guards.Memory | None = None
        self._guard_joined = False
        self._stops = 0
        self.frozen: set[str] = set()
        self._to_pump: list[m.Event] = []
        self._to_guard: list[tuple[Role, Record]] = []
        self._to_stepper: list[Record] = []
        self._wakes = {"pump": 0, "guard": 0, "stepper": 0}
        self._next_reading_ns = self.now_ns if sensors_ms else NO_LIMIT
        self.start_guard()
        self.start_pump()
        self.run_until(lambda: self.state != "starting", 20 * pace)
        if set_up:
            self.ask("limits.set", **_plain(limits))
            segments = [{"start_min_of_day": 0, "rate_uu_per_h": basal_uu_per_h}]
            self.ask("basal.import", name="Day", segments=segments, replace=False, confirm=True)
            self.ask("basal.use", name="Day")
            self.ask("cartridge.load", amount_uu=300_000_000)
            self.ask("resume")

    def close(self) -> None:
        """Give the pins back."""
        self.bench.close()

    # ------------------------------------------------------------------ what a test says

    @property
    def plant(self) -> Plant:
        """Return the plant: the truth about what moved."""
        return self.bench.plant

    @property
    def truth_steps(self) -> int:
        """Return the steps that really moved forward."""
        return int(self.plant.status(self.plant_ns)["steps_forward"])

    @property
    def plant_ns(self) -> int:
        """Return the plant's instant: the programs' own clock begins anew with each boot."""
        return self.now_ns + self._outages_ns

    @property
    def wall_ns(self) -> int:
        """Return the wall clock, UTC in ns."""
        return self.plant_ns + self._wall_offset_ns

    @property
    def state(self) -> str:
        """Return the pump's state."""
        return str(self.pump.state.value) if self.pump else "dead"

    def snapshot(self) -> Mapping[str, Any]:
        """Return the pump's state as its clients see it."""
        assert self.pump is not None  # noqa: S101 - a dead pump has no state
        return self.pump.snapshot()

    def ask(self, method: str, **params: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Ask the pump as a client would; return its result, or raise Refusal."""
        token = self.send(method, **params)
        self.run_until(lambda: token in self._answers, 30 * self._pace)
        answer = self._answers.pop(token)
        if isinstance(answer, m.Done):
            return answer.result
        if isinstance(answer, m.Refused):
            raise Refusal(tuple(one.text for one in answer.reasons))
        raise LedgerUnknown(answer.text)

    def send(self, method: str, **params: Any) -> int:  # noqa: ANN401
        """Send a request without waiting; return its token."""
        self._tokens += 1
        if method == "stop" and params.get("what") == "all":
            self.urgent_stop()
        self._post(m.Asked(self._tokens, self._connection, 0, method, params))
        return self._tokens

    def client_gone(self) -> None:
        """End the client's connection; the next request is from a new one."""
        self._post(m.ClientGone(self._connection))
        self._connection += 1

    def force(self, force_mn: int) -> None:
        """Have the force sensor say this push, in millinewtons."""
        self._post(m.Force(force_mn))

    def urgent_stop(self, why: str = "", *, heard_after_s: float = 0) -> None:
        """Send the stepper a stop, as the server's thread (with a reason) and the sensor's do.

        A thread that loses the processor in between has the pump hear of it so much later.
        """
        if self.stepper is not None:
            self._stops += 1
            self._to_stepper.append(Stop(0))
            self._wakes["stepper"] = self.now_ns
            stops = self._stops
            if heard_after_s:
                self.run(heard_after_s)
            self._post(m.StopSent(self._runs, stops, why))

    def start_bolus(
        self,
        units: str,
        *,
        request_id: str = "",
        speed: str = "normal",
        extend: str = "0",
        over_s: int = 0,
    ) -> str:
        """Review and confirm a bolus such as "2.5"; return its id once the pump has accepted it.

        ``extend`` of it go out over ``over_s`` seconds.
        """
        self._ids += 1
        request_id = request_id or str(uuid5(_IDS, str(self._ids)))
        dose: dict[str, Any] = {
            "request_id": request_id,
            "amount_uu": int(parse_dose(units)),
            "speed": speed,
        }
        if over_s:
            dose |= {"extended_uu": int(parse_dose(extend)), "extended_s": over_s}
        review = self.ask("bolus.review", **dose)
        if review["token"] is None:
            raise Refusal(tuple(one["text"] for one in review["reasons"]))
        self.ask("bolus.deliver", **dose, token=review["token"], stay=True, again=True)
        return request_id

    def bolus(self, units: str, *, speed: str = "normal") -> Mapping[str, Any]:
        """Deliver a bolus to its end; return its record."""
        request_id = self.start_bolus(units, speed=speed)
        self.run_until(lambda: not self._book.doses[request_id].open, 4_000)
        return self._book.doses[request_id].record()

    def dose(self, request_id: str) -> Mapping[str, Any]:
        """Return a dose's record."""
        return self._book.doses[request_id].record()

    @property
    def _book(self) -> Book:
        assert self.pump is not None  # noqa: S101 - a dead pump has no book
        return self.pump.book

    def rows(self, kind: str = "") -> list[Row]:
        """Return the ledger's rows, all or of one kind."""
        return [row for row in self.ledger.rows() if kind in ("", row.entry.kind)]

    # ------------------------------------------------------------------ time

    def run(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time go by."""
        self.run_to(self.now_ns + int(seconds * NS_PER_S))

    def run_to(self, until_ns: int) -> None:
        """Let virtual time go by until an instant."""
        while (next_ns := self._next_ns()) <= until_ns:
            self._jump(next_ns)
            self._turn()
        self._jump(until_ns)

    def run_until(self, holds: Any, seconds: float) -> None:  # noqa: ANN401
        """Let time go by until ``holds()``; raise TimeoutError after ``seconds`` of virtual
        time.
        """
        until_ns = self.now_ns + int(seconds * NS_PER_S)
        while not holds():
            next_ns = self._next_ns()
            if next_ns > until_ns:
                raise TimeoutError(f"not so after {seconds} virtual seconds; {self.state}")
            self._jump(next_ns)
            self._turn()

    def sleep(self, seconds: float, *, noticed_after_s: float = 0.0) -> None:
        """Have the computer sleep: no program runs, and the clock goes on (F15).

        The engine reads both clocks ``noticed_after_s`` after it; `pumpd` does so every second.
        """
        frozen = set(self.frozen)
        self.frozen |= {"pump", "stepper", "guard"}
        # No sensor is read either: the thread that does so is a part of the engine's program.
        until_ns = self.now_ns + int(seconds * NS_PER_S)
        self._next_reading_ns = max(self._next_reading_ns, until_ns + 1)
        self.run_to(until_ns)
        self.frozen = frozen
        self._slept_ns += int(seconds * NS_PER_S) // self.plant.settings.speed
        self.run(noticed_after_s)
        self._post(m.ClockRead(self._reading()))

    def set_zone(self, zone: str) -> None:
        """Move to another zone: local time jumps, UTC and the monotonic clock do not."""
        self._zone = ZoneInfo(zone)
        self._post(m.ClockRead(self._reading()))

    def set_wall(self, step_s: int) -> None:
        """Step the wall clock; the monotonic one knows nothing of it."""
        self._wall_offset_ns += step_s * NS_PER_S
        self._post(m.ClockRead(self._reading()))

    def _jump(self, now_ns: int) -> None:
        self.now_ns = max(self.now_ns, now_ns)
        self.bench.advance()

    def _next_ns(self) -> int:
        next_ns = min(self.bench.next_event_ns - self._outages_ns, self._next_reading_ns)
        for name, at_ns in self._wakes.items():
            if at_ns < next_ns and self._is_up(name):
                next_ns = at_ns
        return max(self.now_ns, next_ns)

    def _is_up(self, name: str) -> bool:
        core = self.guard if name == "guard" else self.pump if name == "pump" else self.stepper
        return core is not None and name not in self.frozen

    def _reading(self) -> ClockReading:
        quality = ClockQuality.SYNCHRONISED if self.synchronised else ClockQuality.SET
        offset_s = self._offset_s()
        return ClockReading(self.now_ns, self.wall_ns, offset_s, quality, self._slept_ns)

    def _offset_s(self, wall_ns: int | None = None) -> int:
        if self._zone is None:
            return 0
        wall_s = (self.wall_ns if wall_ns is None else wall_ns) // NS_PER_S
        seen = datetime.fromtimestamp(0, UTC) + timedelta(seconds=wall_s)
        offset = seen.astimezone(self._zone).utcoffset()
        return int(offset.total_seconds()) if offset else 0

    # ------------------------------------------------------------------ programs

    def start_guard(self) -> None:
        """Start a guard with what its file remembers."""
        readback = _READBACK if self._readback else None
        lines = guard_hardware(self.bench.factories, readback=readback, **_PINS)
        self._guard_lines, self._outputs = lines, None
        self.guard = guards.Guard(
            timing=self._guard_timing(),
            budgets=guards.Budgets(
                self.mechanics.steps_within(90_000_000),
                self.mechanics.steps_within(60_000_000),
                self.mechanics.steps_within(310_000_000),
            ),
            memory=self._guard_memory,
            readback=self._readback,
            one_shot=self._pace == 1,
            pid=2,
        )
        self._guard_joined = False
        self._wakes["guard"] = self.now_ns

    def start_pump(self) -> None:
        """Start `pumpd` on what the ledger holds."""
        self._board, self._power_line = None, None  # its sensor thread is new too
        book = self._fold()
        self.pump = Pump(
            self._machine(),
            book,
            self._reading(),
            ledger_lines=[m.CheckResult("ledger", ok=True, text=f"{book.seq} rows")],
            new_run=self._new_run,
            secret=b"virtual",
            watched=self._watched,
        )
        self._wakes["pump"] = self.now_ns
        self._to_pump = []

    def _fold(self) -> Book:
        """Return what the ledger adds up to."""
        book = Book()
        for row in self.ledger.rows():
            book.apply(row)
        return book

    def _guard_timing(self) -> guards.Timing:
        return guards.Timing.at(self._pace)

    def _stepper_timing(self) -> steppers.Timing:
        return steppers.Timing.at(self._pace, 2_000 // self._pace)

    def kill_pump(self) -> None:
        """Kill `pumpd`, and with it the stepper: whatever was not durable is gone."""
        self.pump = None
        self._queued = []
        self._to_pump, self._answers = [], {}
        self._end_stepper(clean=False)
        if self.guard is not None and self._guard_joined:
            self.guard.left(self.now_ns, Role.PUMPD, clean=False)
            self._guard_joined = False
            self._wakes["guard"] = self.now_ns

    def terminate(self) -> None:
        """Tell `pumpd` to end, as SIGTERM does."""
        self._post(m.Terminate("SIGTERM"))

    def stop_pump(self) -> None:
        """End `pumpd` cleanly."""
        self.terminate()
        self.run_until(lambda: self.pump is None, 10)

    def kill_stepper(self) -> None:
        """Kill the stepper alone."""
        self._end_stepper(clean=False)
        self._post(m.StepperLost(self._runs, "killed"))

    def kill_guard(self) -> None:
        """Kill the guard: its pins become inputs, and the pull on ENABLE decides."""
        self.guard = None
        if self._guard_lines is not None:
            self._guard_lines.close()
        self._guard_joined = False
        self._to_guard = []
        self._post(m.GuardLost("killed"))
        if self.stepper is not None:
            for record in self.stepper.lost(self.now_ns):
                self._post(m.FromStepper(self._runs, record))
            self._end_stepper(clean=False)
            self._post(m.StepperLost(self._runs, "lost the guard"))

    def _end_stepper(self, *, clean: bool) -> None:
        if self.stepper is None:
            return
        self.stepper = None
        self._to_stepper = []
        if self._stepper_lines is not None:
            self._stepper_lines.close()
        if self.guard is not None:
            self.guard.left(self.now_ns, Role.STEPPER, clean=clean)
            self._wakes["guard"] = self.now_ns

    def _spawn_stepper(self, run: int) -> None:
        self._end_stepper(clean=True)
        lines = stepper_hardware(
            self.bench.factories,
            step=17,
            direction=27,
            end_stop_n=24,
            driver_fault_n=25,
            direction_inverted=False,
            min_interval_us=2_000,
            step_pulse_us=0,
            now_ns=lambda: self.now_ns,
            wait_until_ns=lambda _instant: None,
        )
        self._stepper_lines = lines
        ratio = self.mechanics
        self.stepper = steppers.Stepper(
            run=run,
            ratio=steppers.Ratio(ratio.ratio_uu, ratio.ratio_steps, ratio.quantum_steps),
            timing=self._stepper_timing(),
            axis=lines.axis,
            end_stop=lines.end_stop,
            driver_fault=lines.driver_fault,
            hold=self._hold == "reduced",
        )
        self._stops = 0
        self._to_stepper = []
        if self.guard is not None:
            self.guard.joined(self.now_ns, Role.STEPPER, Hello(int(Role.STEPPER), run, 0))
        self._wakes["stepper"] = self.now_ns
        self._post(m.FromStepper(run, Realtime(1, 1, 0, 3)))

    def _new_run(self) -> int:
        self._runs += 1
        return self._runs

    def _machine(self) -> Machine:
        return Machine(
            zones=_zones(),
            name="Virtual bench",
            fluid="water",
            mechanics=self.mechanics,
            lease_uu=self._lease_uu,
            ceilings=Limits(25_000_000, 60_000_000, 300_000_000, 35_000_000, 3_600),
            hold=self._hold,
            readback=self._readback,
            realtime_required=False,
            force_kind="none",
            force_required=False,
            force_threshold_mn=12_000,
            stop_button=self._stop_button,
            min_interval_ns=2_000_000 // self._pace,
            capacity_uu=300_000_000,
            bench=True,
            weaker=(),
            speed=self._pace,
            boot_id=f"boot-{self.boot}",
            version="virtual",
            config_sha256=self.config_sha256,
            pids=(("pumpd", 1),),
            signals=self._signals,
            guarded=GUARDED,
            line=Line(8_660, 100, 1_000, 20),
            battery=self._battery,
            power_line=self._battery is not None,
        )

    # ------------------------------------------------------------------ one instant

    def _post(self, event: m.Event) -> None:
        self._to_pump.append(event)
        self._wakes["pump"] = self.now_ns

    def _turn(self) -> None:
        """Let every program that is due have its turn, until nothing more happens at this
        instant.
        """
        if self._next_reading_ns <= self.now_ns:
            self._next_reading_ns = self.now_ns + self._sensors_ns
            self._read_sensors()
        wakes = self._wakes
        for _ in range(1_000):
            now_ns = self.now_ns
            guard = wakes["guard"] <= now_ns and self._is_up("guard")
            stepper = wakes["stepper"] <= now_ns and self._is_up("stepper")
            pump = wakes["pump"] <= now_ns and self._is_up("pump")
            if guard:
                self._turn_guard()
            if stepper and self._is_up("stepper"):
                self._turn_stepper()
            if pump and self._is_up("pump"):
                self._turn_pump()
            if not (guard or stepper or pump):
                return
        raise RuntimeError("the programs never come to rest at one instant")

    def _read_sensors(self) -> None:
        """Read force and feedback as `pumpd`'s sensor thread does: the motor stops first."""
        if self._battery is not None:
            self._read_power()
        flags = self._sample(Channel.ALARM_FEEDBACK)
        counts = self._sample(Channel.FORCE_COUNTS)
        if flags is not None:
            self._post(m.Feedback(flags))
        milli_c = self._sample(Channel.BOARD_MILLI_C)
        power = (self._sample(Channel.POWER_FLAGS) or 0) & 3
        board = m.Board(None if milli_c is None else milli_c // 1_000, power)
        if board != self._board:
            self._board = board
            self._post(board)
        if counts is None:
            self._post(m.Force(None, "the bench's force sensor has no true value"))
            return
        force_mn = counts  # 1,000 uN a count, and no zero point
        over = force_mn >= self._machine().force_threshold_mn
        if over and not self._over:
            self.urgent_stop()
        self._over = over
        self._post(m.Force(force_mn))

    def _sample(self, channel: Channel) -> int | None:
        return self.plant.sample(channel, self.now_ns)

    def _read_power(self) -> None:
        """Read power-fail line and gauge as `pumpd`'s threads do: the motor stops first."""
        line = m.PowerLine(bool((self._sample(Channel.POWER_FLAGS) or 0) & POWER_FAILS))
        if line != self._power_line:
            self._power_line = line
            if line.failing:
                self.urgent_stop()
            self._post(line)
        if self.now_ns < self._next_gauge_ns:
            return
        self._next_gauge_ns = self.now_ns + NS_PER_S
        try:
            self._post(m.BatteryGauge(self._gauge.read()))
        except SensorFault as fault:
            self._post(m.BatteryGauge(None, str(fault)))

    def _turn_guard(self) -> None:
        assert self.guard is not None and self._guard_lines is not None  # noqa: S101, PT018
        lines = self._guard_lines
        reading = guards.PinReading(
            lines.enable_feedback.is_active(),
            lines.counter.count() if lines.counter else 0,
            lines.stop_button.is_active() if lines.stop_button else False,
            lines.enable_feedback.was_lost(),
        )
        mail, self._to_guard = self._to_guard, []
        result = self.guard.turn(self.now_ns, mail, reading)
        self._set(result.outputs)
        for record in result.to_stepper:
            self._to_stepper.append(record)
            self._wakes["stepper"] = self.now_ns
        for record in result.to_pumpd:
            self._from_guard(record)
        if result.save is not None:
            self._guard_memory = result.save
        self._wakes["guard"] = max(result.wake_ns, self.now_ns + 1)

    def _set(self, out: guards.Outputs) -> None:
        """Set the lines that change, as `pump-guard` does."""
        assert self._guard_lines is not None  # noqa: S101
        lines, before = self._guard_lines, self._outputs
        if before is None or out.alive != before.alive:
            lines.alive.set(active=out.alive)
        if before is None or out.enable != before.enable:
            lines.enable.set(active=out.enable)
        if before is None or out.buzzer != before.buzzer:
            lines.buzzer.set(active=out.buzzer)
        if before is None or out.lamp_high != before.lamp_high:
            lines.lamps.high.set(active=out.lamp_high)
        if before is None or out.lamp_medium != before.lamp_medium:
            lines.lamps.medium.set(active=out.lamp_medium)
        if before is None or out.lamp_low != before.lamp_low:
            lines.lamps.low.set(active=out.lamp_low)
        self._outputs = out

    def _from_guard(self, record: Record) -> None:
        self._post(m.FromGuard(record))
        if isinstance(record, Head):
            self._post(m.HeadChecked(*self._compare(record)))

    def _compare(self, head: Head) -> tuple[bool, str]:
        if head.seq == 0:
            return True, ""
        rows = [row for row in self.ledger.rows() if row.seq == head.seq]
        digest = b"".join(
            part.to_bytes(8, "big", signed=True)
            for part in (head.hash_a, head.hash_b, head.hash_c, head.hash_d)
        )
        if rows and rows[0].digest == digest:
            return True, ""
        return False, "the guard remembers a later or another history"

    def _turn_stepper(self) -> None:
        assert self.stepper is not None  # noqa: S101
        inbox, self._to_stepper = self._to_stepper, []
        to_pumpd, to_guard, wake_ns = self.stepper.turn(self.now_ns, inbox)
        for record in to_guard:
            self._to_guard.append((Role.STEPPER, record))
            self._wakes["guard"] = self.now_ns
        _keep(self.stepper_said, to_pumpd)
        for record in to_pumpd:
            self._post(m.FromStepper(self._runs, record))
        # A step and its successor never share an instant, so a due deadline is the next nanosecond.
        self._wakes["stepper"] = max(wake_ns, self.now_ns + 1)

    def _turn_pump(self) -> None:
        assert self.pump is not None  # noqa: S101
        if self.guard is not None and not self._guard_joined:
            self._guard_joined = True
            self.guard.joined(self.now_ns, Role.PUMPD, Hello(int(Role.PUMPD), 0, 0))
            self._to_pump.insert(0, m.GuardUp())
            for record in self.guard.greeting():
                self._from_guard(record)
        events, self._to_pump = [*self._clock_events(), *self._to_pump], []
        if self.guard is not None:
            self._to_guard.append((Role.PUMPD, _ALIVE))
        effects, wake_ns = self.pump.turn(self.now_ns, events)
        self._wakes["pump"] = max(wake_ns, self.now_ns + 1)
        pump = self.pump
        for effect in effects:
            if self.pump is not pump:  # it was killed over one of them
                return
            self._do(effect)

    def _clock_events(self) -> list[m.Event]:
        return [m.ClockRead(self._reading())]

    def _do(self, effect: m.Effect) -> None:
        match effect:
            case m.Write() as write:
                if self.stalled_disk:
                    self._queued.append(write)
                else:
                    self._write(write)
            case m.Find(token, request_id):
                rows = [r for r in self.rows() if r.entry.body.get("request_id") == request_id]
                self._post(m.Found(token, rows))
            case m.ToStepper(record):
                if isinstance(record, Bye):
                    self._end_stepper(clean=True)
                elif self.stepper is not None:
                    self._to_stepper.append(record)
                    self._wakes["stepper"] = self.now_ns
            case m.StopAll():
                self.urgent_stop()
            case m.ToGuard(Bye()):
                if self.guard is not None:
                    self.guard.left(self.now_ns, Role.PUMPD, clean=True)
                self._guard_joined = False
            case m.Exit():
                self.pump = None
            case m.ToGuard(record):
                if self.guard is not None:
                    self._to_guard.append((Role.PUMPD, record))
                    self._wakes["guard"] = self.now_ns
            case m.SpawnStepper(run):
                try:
                    self._spawn_stepper(run)
                except WireLost as error:
                    self._post(m.StepperLost(run, str(error)))
            case m.KillStepper():
                self._end_stepper(clean="stepper" not in self.frozen)
            case m.Check():
                self._post(m.Checked([m.CheckResult("disk", ok=True, text="virtual")]))
            case m.UseZone(zone):
                self.set_zone(zone)
            case m.PinTask() as task:
                self._post(m.PinDone(task.token, self._pin_task(task)))
            case m.Reply(token, answer):
                self._answers[token] = answer
            case m.Publish(snapshot):
                _keep(self.snapshots, [snapshot])
            case _:
                self.log.append(effect)

    def _pin_task(self, task: m.PinTask) -> str:
        """Do what the file of the PIN does, without its slow hash."""
        match task.verb:
            case "check":
                return "missing" if not self.pin else "right" if task.pin == self.pin else "wrong"
            case "store":
                self.pin = task.pin
                return "stored"
            case _:
                self.pin = ""
                return "forgotten"

    def _write(self, write: m.Write) -> None:
        try:
            rows = self.ledger.append(write.entries)
        except ValueError as error:
            self._post(m.WriteRefused(write.batch, str(error)))
        except LedgerUnknown as error:
            self._post(m.WriteTrouble(write.batch, str(error)))
            self._settle(write)
        else:
            self._post(m.Written(write.batch, rows))

    def _settle(self, write: m.Write) -> None:
        """Look the rows up; where the disk cannot be read either, everything waits in order."""
        try:
            rows = self.ledger.settle(write.entries)
            if rows is None:
                rows = self.ledger.append(write.entries)
        except LedgerFault:
            self.stalled_disk = True
            self._queued.insert(0, write)
        else:
            self._post(m.Written(write.batch, rows))

    def disk_goes_on(self) -> None:
        """End a stall: everything that waited for the disk is written, in order."""
        self.stalled_disk = False
        queued, self._queued = self._queued, []
        for at, write in enumerate(queued):
            self._settle(write) if at == 0 else self._do(write)


def _keep(said: list[Any], new: Sequence[Any]) -> None:
    """Add what is new to the last that was said, and forget what is old."""
    said.extend(new)
    if len(said) >= 2 * _KEPT:
        del said[:-_KEPT]


def _plain(limits: Limits) -> dict[str, int]:
    return {
        "max_bolus_uu": limits.max_bolus_uu,
        "hourly_uu": limits.hourly_uu,
        "daily_uu": limits.daily_uu,
        "max_basal_uu_per_h": limits.max_basal_uu_per_h,
        "min_interval_s": limits.min_interval_s,
    }
