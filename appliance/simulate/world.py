"""One event queue for engine, stepper, guard, ledger, drivers and plant, on a virtual clock.

While nothing is wrong the world is *quiet*: beats, ``alive`` and snapshots are no events, a wire
that is up counts as beating, and the clock jumps from step to step. Whatever goes wrong makes it
loud: every beat is then an event, as it is in the programs, until all is settled again.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any

from appliance.adapters.ledger import SqliteLedger
from appliance.domain.alarms import AlarmCode
from appliance.domain.history import GENESIS
from appliance.domain.units import NS_PER_MS, NS_PER_S
from appliance.engine import messages as m
from appliance.engine.book import Book
from appliance.errors import BrokenChain, PinFault
from appliance.guard import core as guards
from appliance.records import NO_LIMIT, Carry, End, Ended, Head, Lease, Programme, Record, Role
from appliance.simulate.bench import VirtualBench
from appliance.simulate.demands import OF_END, stops_within_ns
from appliance.simulate.oracle import Broken, Oracle
from appliance.simulate.scenario import Scenario
from appliance.stepper import loop as steppers
from drivers.assembly import GuardHardware

_NEVER_NS = NO_LIMIT // 2
_SETTLE_NS = 3 * NS_PER_S
_GUARD_LOOK_NS = 20 * NS_PER_MS
_GUARD_FRESH_NS = 500 * NS_PER_MS
_BOOTED_NS = 20 * NS_PER_S
_RESTART_NS = NS_PER_S
_RECOVERED_NS = 12 * NS_PER_S  # a guard that is gone is waited for, at most 8 s
_PRESSED_NS = 1_500 * NS_PER_MS
_CLOCK_STEP_S = 2
_SET_UP_NS = 60 * NS_PER_S
_ZONES_AHEAD_DAYS = 400
_NS_PER_DAY = 86_400 * NS_PER_S
HARMLESS = frozenset(
    {
        "buzzer_dead", "lamp_dead", "battery_drop", "battery_frozen", "battery_over", "throttled",
        "under_voltage", "power_fail", "force_disconnected", "force_nan", "force_frozen",
        "force_saturated", "force_drift", "force_scale", "leak",
    }
)  # fmt: skip
"""Faults of parts that nobody here listens to: the world may be quiet under them."""

Then = Callable[[m.Answer], None]
Action = Callable[[], None]


class World(VirtualBench):
    """A whole pump, a plant that is the truth, and an oracle that judges after every event."""

    _watched = False

    def __init__(
        self, scenario: Scenario, ledger: SqliteLedger, oracle: Oracle, *, pulses: bool = False
    ) -> None:
        self.oracle = oracle
        self.sqlite = ledger
        self._pulses = pulses
        self._skipped_before = 0
        self._quiet = False
        self._loud_until_ns = 0
        self._scenario = scenario
        self._agenda: list[tuple[int, int, Action]] = []
        self._order = itertools.count()
        self._then: dict[int, Then] = {}
        self._writes = 0
        self._clock_settings = 0
        self._checked = (0, GENESIS)
        self.happened = {"crashes": 0, "clock_steps": 0, "zone_changes": 0}
        self.row_ns = array("q")
        """When each row of the ledger became durable, on the plant's clock."""
        self._blows: dict[int, list[tuple[str, Action]]] = {}
        self._edges_told = -1
        self._guard_turned_ns = self._guard_look_ns = 0
        self._memory_before: guards.Memory | None = None
        self._leaving = False
        self._pressed_ns = -_NEVER_NS
        self.events = 0
        self.comes_back = False
        """Whether pumpd was killed and is started again in a moment."""
        super().__init__(
            ledger=ledger,
            mechanics={
                name: number
                for name, number in scenario.mechanics.model_dump().items()
                if name != "hold"
            },
            hold=scenario.mechanics.hold,
            limits=scenario.limits.limits(),
            set_up=False,
            readback=scenario.machine.readback,
            stop_button=scenario.machine.stop_button,
            lease_uu=scenario.machine.lease_uu,
            zone=scenario.zone,
            start_utc_ns=scenario.midnight_utc_ns - _SET_UP_NS,
        )
        self.synchronised = scenario.machine.clock_synchronised
        self.plant.edge_log = array("q")
        oracle.watch(self.plant)
        limits = scenario.limits.model_dump()
        self.ask("limits.set", **limits)
        segments = [
            {"start_min_of_day": one.start, "rate_uu_per_h": one.rate_uu_per_h}
            for one in scenario.basal
        ]
        self.ask("basal.import", name="Day", segments=segments, replace=False, confirm=True)
        self.ask("basal.use", name="Day")
        self.ask("cartridge.load", amount_uu=self.full_uu)
        self.began_ns = self.plant_ns + scenario.midnight_utc_ns - self.wall_ns
        self._writes = 0
        self._watch_the_zone()

    @property
    def full_uu(self) -> int:
        """Return what a full cartridge holds: the syringe's 3 mL at this concentration, at most
        300 U.
        """
        return min(300_000_000, 3_000 * self._scenario.mechanics.concentration_u_per_ml * 1_000)

    @property
    def since_ns(self) -> int:
        """Return the time since the pump was set up."""
        return self.plant_ns - self.began_ns

    @property
    def concentration_u_per_ml(self) -> int:
        """Return how much insulin a millilitre holds."""
        return self._scenario.mechanics.concentration_u_per_ml

    def out_nl(self) -> float:
        """Return what has left the needle."""
        return float(self.plant.status(self.plant_ns)["volume_nl"])

    # ------------------------------------------------------------------ what a script does

    def at(self, since_ns: int, action: Action) -> None:
        """Have ``action`` done ``since_ns`` after the setting up; now where that is over."""
        heappush(self._agenda, (since_ns + self.began_ns, next(self._order), action))

    def after(self, span_ns: int, action: Action) -> None:
        """Have ``action`` done ``span_ns`` from now."""
        heappush(self._agenda, (self.plant_ns + span_ns, next(self._order), action))

    def at_write(self, number: int, when: str, action: Action) -> None:
        """Have ``action`` done before or after a write to the ledger, counted from the set-up."""
        self._blows.setdefault(number, []).append((when, action))

    def request(self, method: str, then: Then, **params: Any) -> None:  # noqa: ANN401
        """Send a request; ``then`` has its answer. A pump that dies first never answers."""
        self._then[self.send(method, **params)] = then

    def disturb(self) -> None:
        """Something is wrong: beats are events again."""
        self._loud_until_ns = self.now_ns + _SETTLE_NS
        if self._quiet:
            self._retime(quiet=False)

    def crash(self, who: str) -> None:
        """Kill a program; the service manager starts it again."""
        self.oracle.blows += 1
        self.happened["crashes"] += 1
        self.disturb()
        back_ns = int(self._scenario.machine.restart_s * NS_PER_S)
        self.frozen.discard(who)
        demands, now_ns = self.oracle.demands, self.plant_ns
        if who == "stepper" and self.stepper is not None and self._must_tell:
            demands.demand("a kill of the stepper", [AlarmCode.MOTOR_FAULT], now_ns)
        if who == "guard" and self.guard is not None and self._must_tell:
            demands.demand("a kill of the guard", [AlarmCode.GUARD_TRIP], now_ns)
        match who:
            case "pumpd" if self.pump is not None:
                self._pump_dies(back_ns)
                self.oracle.pump_dead_ns = self.plant_ns
                self.kill_pump()
                self.oracle.run_over(self.now_ns, self.plant_ns)
                self.comes_back = True
                self.after(back_ns, self._pump_is_back)
            case "stepper" if self.stepper is not None:
                self.kill_stepper()
                self.oracle.run_over(self.now_ns, self.plant_ns)
            case "guard" if self.guard is not None:
                self.oracle.guard_dead_ns = self.plant_ns
                self.kill_guard()
                self.oracle.run_over(self.now_ns, self.plant_ns)
                self.after(back_ns, self._guard_is_back)
            case _:
                pass

    @property
    def _must_tell(self) -> bool:
        """Say whether `pumpd` has to make an alarm of what it sees now: it is up, has passed its
        self-test or stands by, and is not about to end.
        """
        state = self.state in ("running", "suspended", "stopped")
        return state and not self._leaving and "pump" not in self.frozen and self._guard_joined

    def _pump_dies(self, back_ns: int) -> None:
        """Note that `pumpd` dies now: where its ledger was not closed, it says so when it is
        back.
        """
        demands, now_ns = self.oracle.demands, self.plant_ns
        if self.oracle.last_kind not in ("", "end"):
            demands.demand("an end without a word", [AlarmCode.UNCLEAN_RESTART], now_ns)
        demands.dies(now_ns)
        demands.trouble(now_ns, now_ns + back_ns + _RECOVERED_NS)

    def freeze(self, who: str, span_ns: int) -> None:
        """Have a program stand still for a while."""
        self.oracle.blows += 1
        self.disturb()
        self._demand_of_freeze(who, span_ns)
        name = "pump" if who == "pumpd" else who
        self.frozen.add(name)
        self.after(span_ns, lambda: self._thaw(name))

    def _demand_of_freeze(self, who: str, span_ns: int) -> None:
        """Want the alarm of a freeze that is longer than the program's silence may be (SR-58)."""
        demands, now_ns = self.oracle.demands, self.plant_ns
        others = self.frozen or self.pump is None or self.guard is None or self.stepper is None
        silent = {"pumpd": 3 * NS_PER_S, "stepper": NS_PER_S // 2, "guard": NS_PER_S // 2}
        moves = who == "pumpd" or self.plant.enable
        if self._must_tell and not others and moves and span_ns >= silent[who]:
            demands.demand(f"a freeze of {who}", [AlarmCode.GUARD_TRIP], now_ns)
        demands.trouble(now_ns, now_ns + span_ns + NS_PER_S)

    def cut_power(self, off_ns: int, *, guard_file_is_behind: bool) -> None:
        """Everything dies; what was synced is there when the power is back, on a new boot."""
        self.oracle.blows += 1
        self._pump_dies(off_ns)
        self.happened["crashes"] += 1
        if guard_file_is_behind:
            self._guard_memory = self._memory_before
        self.kill_pump()
        self.oracle.run_over(self.now_ns, self.plant_ns)
        self.stalled_disk = False
        self.guard = None
        if self._guard_lines is not None:
            self._guard_lines.close()
            self._guard_lines = None
        self._guard_joined = False
        self._to_guard = []
        self.frozen.clear()
        self._quiet = False
        self.plant.hold_gate(held=False, now_ns=self.plant_ns)
        self.boot += 1
        self._outages_ns += self.now_ns + off_ns - _BOOTED_NS
        self.now_ns = _BOOTED_NS
        self._guard_turned_ns = self._guard_look_ns = 0
        self.oracle.looked_away(self.plant_ns, off_ns)
        self.bench.advance()
        self._loud_until_ns = self.now_ns + _SETTLE_NS
        self._guard_is_back()
        self._reopen()
        self.start_pump()

    def stall_disk(self, span_ns: int) -> None:
        """Have nothing written for a while."""
        self.oracle.blows += 1
        self.disturb()
        self.oracle.demands.trouble(self.plant_ns, self.plant_ns + span_ns + NS_PER_S)
        self.stalled_disk = True

        def over() -> None:
            self.disturb()
            if self.stalled_disk:
                self.disk_goes_on()

        self.after(span_ns, over)

    def step_clock(self, step_s: int) -> None:
        """Set the wall clock."""
        if abs(step_s) > _CLOCK_STEP_S and self.pump is not None and not self._leaving:
            stepped = [AlarmCode.CLOCK_STEPPED]
            self.oracle.demands.demand("the clock was set", stepped, self.plant_ns)
        self.happened["clock_steps"] += 1
        self.set_wall(step_s)
        self._watch_the_zone()

    def terminate(self) -> None:
        self._leaving = True
        super().terminate()

    def journey(self, zone: str) -> None:
        """Take the pump to another zone."""
        self.happened["zone_changes"] += 1
        self.set_zone(zone)
        self._watch_the_zone()

    def _watch_the_zone(self) -> None:
        """Have the pump look at its clocks when the zone's own time changes next."""
        self._clock_settings += 1
        settings, offset_s, wall_ns = self._clock_settings, self._offset_s(), self.wall_ns
        for day in range(1, _ZONES_AHEAD_DAYS):
            if self._offset_s(wall_ns + day * _NS_PER_DAY) != offset_s:
                break
        else:
            return
        before_s = (wall_ns + (day - 1) * _NS_PER_DAY) // NS_PER_S
        after_s = before_s + _NS_PER_DAY // NS_PER_S + 1
        while after_s - before_s > 1:
            middle_s = (before_s + after_s) // 2
            if self._offset_s(middle_s * NS_PER_S) == offset_s:
                before_s = middle_s
            else:
                after_s = middle_s

        def changed() -> None:
            if settings == self._clock_settings:
                self.happened["zone_changes"] += 1
                self._post(m.ClockRead(self._reading()))
                self._watch_the_zone()

        self.after(after_s * NS_PER_S - wall_ns, changed)

    def inject(self, name: str, parameters: Mapping[str, Any], span_ns: int) -> None:
        """Begin a fault at the plant, and end it after a while."""
        if name not in HARMLESS:
            self.oracle.blows += 1
            self.disturb()
        self._demand_an_end(name, parameters, span_ns)
        self.plant.inject(name, parameters, self.plant_ns)

        def over() -> None:
            if name not in HARMLESS:
                self.disturb()
            self.plant.clear(name, self.plant_ns)

        self.after(span_ns, over)

    def _demand_an_end(self, name: str, parameters: Mapping[str, Any], span_ns: int) -> None:
        """Want every dose that runs to end soon under a fault that none may outlive."""
        limit_ns = stops_within_ns(name, parameters)
        begun_ns, running = self.plant_ns, self.oracle.doses
        gated = name in ("enable_feedback", "one_shot") and not self.plant.enable
        if limit_ns is None or span_ns <= limit_ns or gated or not self._must_tell:
            return

        def judge() -> None:
            if self.oracle.demands.troubled(begun_ns - NS_PER_S, self.plant_ns):
                return
            if running & self.oracle.doses:
                text = f"a dose goes on {limit_ns // NS_PER_MS} ms after {name} began"
                raise Broken("alarm", text, begun_ns)

        self.after(limit_ns, judge)

    def press(self, ms: int) -> None:
        """Press the stop button."""
        self._pressed_ns = self.plant_ns
        self.oracle.blows += 1
        self.disturb()
        self.plant.press("stop", ms, self.plant_ns)

    def fresh_cartridge(self) -> None:
        """Put a full syringe in, the carriage back at its beginning; the motor rests."""
        self.take_out()
        self.plant.set({"carriage_steps": self.plant.settings.full_at_steps}, self.plant_ns)
        self.put_in()

    def take_out(self) -> None:
        """Take the syringe out."""
        self.plant.set({"syringe": "out"}, self.plant_ns)

    def put_in(self) -> None:
        """Put a full syringe in, before which the carriage stands back far enough."""
        settings = self.plant.settings
        fill_nl = int((settings.empty_at_steps - settings.full_at_steps) * settings.nl_per_step)
        self.plant.set({"fill_nl": min(fill_nl, settings.capacity_nl)}, self.plant_ns)

    def _pump_is_back(self) -> None:
        self.comes_back = False
        self.disturb()
        if self.pump is None:
            self._reopen()
            self.start_pump()

    def _guard_is_back(self) -> None:
        self.disturb()
        if self.guard is not None:
            return
        try:
            self.start_guard()
        except PinFault:
            self.after(_RESTART_NS, self._guard_is_back)

    def _thaw(self, name: str) -> None:
        self.disturb()
        self.frozen.discard(name)

    def _reopen(self) -> None:
        self.sqlite.close()
        self.sqlite = self.ledger = SqliteLedger(self.sqlite.path)

    def start_guard(self) -> None:
        super().start_guard()
        self._skipped_before = self.plant.edges_skipped
        self.oracle.guard_dead_ns = None

    def start_pump(self) -> None:
        super().start_pump()
        self._leaving = False
        self._then.clear()
        self.oracle.pump_dead_ns = None

    def _fold(self) -> Book:
        ledger = self.sqlite
        # What passed once has passed: a long ledger's start asks the guard how far that was.
        self._checked = ledger.check_chain(*self._checked)
        checkpoint = ledger.last_of("checkpoint")
        book = Book()
        if checkpoint is not None:
            book.apply(checkpoint)
        for row in ledger.walk(book.seq):
            book.apply(row)
        return book

    def _compare(self, head: Head) -> tuple[bool, str]:
        digest = b"".join(
            part.to_bytes(8, "big", signed=True)
            for part in (head.hash_a, head.hash_b, head.hash_c, head.hash_d)
        )
        try:
            if head.seq:
                self.sqlite.check_chain(head.seq, digest)
        except BrokenChain as broken:
            return False, f"the guard remembers a later or another history: {broken}"
        return True, ""

    # ------------------------------------------------------------------ quiet and loud

    def _guard_timing(self) -> guards.Timing:
        timing = guards.Timing.at(1)
        if not self._quiet:
            return timing
        return replace(
            timing,
            alive_ns=_NEVER_NS,
            feed_ns=_NEVER_NS,
            judge_ns=_NEVER_NS,
            rest_ns=_NEVER_NS,
            late_ns=_NEVER_NS,
            lapse_ns=_NEVER_NS,
            report_ns=0,
        )

    def _stepper_timing(self) -> steppers.Timing:
        timing = steppers.Timing.at(1, 2_000)
        if not self._quiet:
            return timing
        return replace(
            timing,
            beat_ns=_NEVER_NS,
            rest_beat_ns=_NEVER_NS,
            report_ns=_NEVER_NS,
            answer_ns=_NEVER_NS,
        )

    def _retime(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self.plant.hold_gate(held=quiet, now_ns=self.plant_ns)
        if self.guard is not None:
            self.guard.retime(self.now_ns, self._guard_timing())
            self._wakes["guard"] = self.now_ns
        if self.stepper is not None:
            self.stepper.retime(self.now_ns, self._stepper_timing())
            self._wakes["stepper"] = self.now_ns
        self._wakes["pump"] = self.now_ns

    def _is_calm(self) -> bool:
        """Say whether nothing is wrong that beats would be needed for."""
        pump, stepper = self.pump, self.stepper
        return (
            self.now_ns >= self._loud_until_ns
            and pump is not None
            and self.guard is not None
            and self._guard_joined
            and not self.frozen
            and not self.stalled_disk
            and pump.settled
            and not (stepper is not None and stepper.stalled)
            and HARMLESS.issuperset(self.plant.active)
        )

    # ------------------------------------------------------------------ the event queue

    def run_to(self, until_ns: int) -> None:
        """Let virtual time go by until ``until_ns`` after the setting up."""
        end_ns = until_ns + self.began_ns
        while True:
            agenda_ns = self._agenda[0][0] if self._agenda else end_ns + 1
            limit_ns = min(agenda_ns, end_ns) - self._outages_ns
            if self._quiet:
                self._sprint(limit_ns)
            next_ns = self._next_ns()
            if next_ns <= limit_ns:
                self._jump(next_ns)
                self._turn()
                continue
            self._jump(limit_ns)
            if agenda_ns > end_ns:
                return
            _, _, action = heappop(self._agenda)
            action()
            self._turn()

    def _sprint(self, limit_ns: int) -> None:
        """Turn the stepper alone, from deadline to deadline, until somebody has mail."""
        stepper = self.stepper
        wakes = self._wakes
        if stepper is None:
            return
        limit_ns = min(
            limit_ns, wakes["pump"], wakes["guard"], self.bench.next_event_ns - self._outages_ns
        )
        turn, glide = stepper.turn, stepper.glide
        wake_ns = wakes["stepper"]
        while wake_ns < limit_ns:
            if self._pulses and not self._to_stepper:
                skipped, last_ns = stepper.skip(limit_ns)
                if skipped:
                    self.plant.skip(skipped, last_ns + self._outages_ns)
                    wake_ns = last_ns + 1
            self.now_ns = wake_ns
            steps = 0
            if not self._to_stepper:
                steps, to_pumpd, to_guard, next_ns = glide(wake_ns, limit_ns, self._move_to)
            if not steps:
                inbox, self._to_stepper = self._to_stepper, []
                to_pumpd, to_guard, next_ns = turn(wake_ns, inbox)
            wake_ns = max(next_ns, self.now_ns + 1)
            self.events += steps or 1
            if to_pumpd or to_guard:
                wakes["stepper"] = wake_ns
                self._said(to_pumpd, to_guard)
                self._turn()
                return
        wakes["stepper"] = wake_ns

    def _move_to(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def _turn(self) -> None:
        super()._turn()
        self.events += 1
        self.oracle.look(self.plant_ns, well=self._is_well)
        if self._quiet:
            pump = self.pump
            if pump is not None and not pump.settled:
                self.disturb()
                super()._turn()
        elif self._is_calm():
            self._retime(quiet=True)
            super()._turn()

    def _turn_guard(self) -> None:
        assert self.guard is not None and self._guard_lines is not None  # noqa: S101, PT018
        lines = self._guard_lines
        self._edges_told = self.plant.edges_seen
        self._guard_turned_ns = self.now_ns
        try:
            reading = guards.PinReading(
                lines.enable_feedback.is_active(),
                self._counted(lines),
                lines.stop_button.is_active() if lines.stop_button else False,
                lines.enable_feedback.was_lost(),
            )
            mail, self._to_guard = self._to_guard, []
            if self._quiet and self.stepper is not None and not self._readback:
                # Its word is all the guard has to count by, and it is up to date.
                mail.insert(0, (Role.STEPPER, self.stepper.beat(self.now_ns)))
            result = self.guard.turn(self.now_ns, mail, reading)
            changed = result.outputs != self._outputs
            if changed:
                self._set(result.outputs)
        except PinFault:
            self._guard_fails()
            return
        for record in result.to_stepper:
            self._to_stepper.append(record)
            self._wakes["stepper"] = self.now_ns
        for record in result.to_pumpd:
            self._from_guard(record)
        if result.save is not None:
            self._memory_before, self._guard_memory = self._guard_memory, result.save
        if changed:  # what it has set it sees at its next look
            self._guard_look_ns = self.now_ns + _GUARD_LOOK_NS
        wake_ns = max(result.wake_ns, self.now_ns + 1)
        if self._quiet and self._guard_look_ns > self.now_ns:
            wake_ns = min(wake_ns, self._guard_look_ns)
        self._wakes["guard"] = wake_ns

    def _counted(self, lines: GuardHardware) -> int:
        """Return the edges that were read back; those that were skipped count as read."""
        if lines.counter is None:
            return 0
        return lines.counter.count() + self.plant.edges_skipped - self._skipped_before

    def _guard_fails(self) -> None:
        """A guard without its pins trips, says so, and ends; it is started again."""
        assert self.guard is not None  # noqa: S101
        self.guard.pin_fault(self.now_ns)
        self._memory_before = self._guard_memory
        self._guard_memory = self.guard.memory
        self.crash("guard")

    def _turn_stepper(self) -> None:
        assert self.stepper is not None  # noqa: S101
        inbox, self._to_stepper = self._to_stepper, []
        to_pumpd, to_guard, wake_ns = self.stepper.turn(self.now_ns, inbox)
        # A step and its successor never share an instant, so a due deadline is the next nanosecond.
        self._wakes["stepper"] = max(wake_ns, self.now_ns + 1)
        self._said(to_pumpd, to_guard)

    def _said(self, to_pumpd: list[Record], to_guard: list[Record]) -> None:
        for record in to_guard:
            self._to_guard.append((Role.STEPPER, record))
            self._wakes["guard"] = self.now_ns
        for record in to_pumpd:
            if isinstance(record, Ended):
                self._heard_end(record)
            self._post(m.FromStepper(self._runs, record))

    def _heard_end(self, ended: Ended) -> None:
        """Tell the oracle; an end that is a fault wants its alarm."""
        self.oracle.ended(ended, self.plant_ns)
        now_ns, code = self.plant_ns, OF_END.get(End(ended.reason))
        if code is None or self.pump is None or self._leaving:
            return
        pressed = now_ns - self._pressed_ns < _PRESSED_NS or "stop_button" in self.plant.active
        if End(ended.reason) is End.DISABLED and pressed:
            return  # the button is no alarm
        codes = [code]
        if self.oracle.demands.troubled(now_ns - NS_PER_S, now_ns) or self.state != "running":
            # Something else may have ended the run before this was heard.
            codes = [*OF_END.values(), AlarmCode.UNCLEAN_RESTART]
        self.oracle.demands.demand(f"an end ({End(ended.reason).name})", codes, now_ns)

    @property
    def _is_well(self) -> bool:
        """Say whether it runs, and every program with it."""
        up = self.pump is not None and self.guard is not None and self.stepper is not None
        return up and not self.frozen and self.state == "running"

    def _turn_pump(self) -> None:
        pump = self.pump
        assert pump is not None  # noqa: S101
        stale = self.now_ns - self._guard_turned_ns > _GUARD_FRESH_NS
        if self._quiet and self.guard and (stale or self._edges_told != self.plant.edges_seen):
            self._turn_guard()  # a wire that is up has told all there is to tell
        super()._turn_pump()
        if self._quiet and self.pump is pump and not self._to_pump and pump.settled:
            self._wakes["pump"] = max(pump.schedule_wake_ns, self.now_ns + 1)

    def _clock_events(self) -> list[m.Event]:
        # Both clocks run alike while nobody sets one, and whoever does says so.
        return [] if self._quiet else super()._clock_events()

    def _do(self, effect: m.Effect) -> None:
        match effect:
            case m.Write() as write:
                self._write_or_blow(write)
            case m.Reply(token, answer):
                then = self._then.pop(token, None)
                if then is not None:
                    then(answer)
                else:
                    self._answers[token] = answer
            case m.ToStepper(record):
                match record:
                    case Programme() as programme:
                        self.oracle.programme(programme, self.plant_ns)
                    case Lease() as lease:
                        self.oracle.lease(lease, self.plant_ns)
                    case Carry():
                        self.oracle.carried()
                    case _:
                        pass
                super()._do(effect)
            case m.KillStepper():
                super()._do(effect)
                self.oracle.run_over(self.now_ns, self.plant_ns)
            case _:
                super()._do(effect)

    def _write_or_blow(self, write: m.Write) -> None:
        """Write, unless what happens before it is the end of pumpd, or the disk stands still."""
        self._writes += 1
        pump, blows = self.pump, self._blows.pop(self._writes, [])
        for _, action in [one for one in blows if one[0] == "before"]:
            action()
        if self.pump is not pump:
            return
        if self.stalled_disk:
            self._queued.append(write)
        else:
            self._write(write)
        for _, action in [one for one in blows if one[0] == "after"]:
            action()

    def _write(self, write: m.Write) -> None:
        try:
            rows = self.ledger.append(write.entries)
        except ValueError as error:
            self._post(m.WriteRefused(write.batch, str(error)))
            return
        self.row_ns.extend([self.plant_ns] * len(rows))
        self.oracle.written(rows, self.plant_ns)
        self._post(m.Written(write.batch, rows))

    def disk_goes_on(self) -> None:
        self.stalled_disk = False
        queued, self._queued = self._queued, []
        for write in queued:
            self._write(write)
