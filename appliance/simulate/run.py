"""One scenario from its seed to its report: the script, the scripted user and the run itself."""

from __future__ import annotations

import gc
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID, uuid5

from appliance.adapters.clock import real_monotonic_ns
from appliance.adapters.ledger import SqliteLedger
from appliance.domain.limits import DAY_NS
from appliance.domain.units import NS_PER_MIN, NS_PER_S
from appliance.engine import messages as m
from appliance.errors import PumpError
from appliance.simulate.oracle import Broken, Oracle
from appliance.simulate.scenario import BolusTable, Often, Scenario, TempTable
from appliance.simulate.therapy import Course, Decide, Therapy, controller
from appliance.simulate.world import World
from appliance.verify.audit import Audit, Truth, audit

_IDS = UUID("2d6d1f0e-0f6f-5b57-9a40-7f3d51c6f0a4")
_GRACE_NS = 15 * NS_PER_MIN
_ASK_AGAIN_NS = 5 * NS_PER_S
_GIVE_UP_NS = 10 * NS_PER_MIN
_ENDING_S = 180
_TOLD_AGAIN_S = 30
_MEMORY = Path("/dev/shm")  # noqa: S108 - a disk whose syncs cost nothing, where there is one
_PIECES = 200
_GRID_UU = 10_000
_RATE_GRID_UU_PER_H = 1_000
_TIME_GRID_S = 60
_GUIDE_NS = 10 * NS_PER_S
_MIN_INTERVAL_NS = 2_000_000
_GARBAGE = 100_000  # what is made in virtual time is nearly all freed at once
# What a core raises is the death of its program: no honest input may do that.
_BUGS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    PumpError,
    RuntimeError,
    TypeError,
    ValueError,
)

Progress = Callable[[float], None]


@dataclass(slots=True)
class Report:
    """What a run came to. ``violations`` is empty, or holds the first requirement that broke."""

    name: str
    seed: int
    days: float
    level: str
    head: str = ""
    rows: int = 0
    asked_steps: int = 0
    plant_steps: int = 0
    confirmed_steps: int = 0
    maximum_steps: int = 0
    boluses: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    alarms: int = 0
    blows: int = 0
    events: int = 0
    real_s: float = 0.0
    violations: list[str] = field(default_factory=list)
    audit: Audit | None = None
    courses: dict[str, Course] = field(default_factory=dict)


@dataclass(slots=True)
class _Order:
    """A bolus that the user wants."""

    request_id: str
    amount_uu: int
    table: BolusTable
    since_ns: int
    over_s: int = 0
    purpose: Mapping[str, int] = field(default_factory=dict)
    answered: bool = False
    refused: bool = False
    accepted: bool = False

    @property
    def words(self) -> dict[str, object]:
        """Return the dose as the pump is asked for it."""
        dose: dict[str, object] = {
            "request_id": self.request_id,
            "amount_uu": self.amount_uu,
            "speed": self.table.speed,
        }
        if self.over_s:
            extended_uu = self.amount_uu * self.table.extended_percent // 100
            extended_uu -= extended_uu % _GRID_UU
            dose |= {"extended_uu": extended_uu, "extended_s": self.over_s}
        return {**dose, **self.purpose}


class User:
    """The scripted user: gives boluses, sets temporary rates, suspends, changes cartridge and set,
    acknowledges and resumes.
    """

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._scenario = scenario
        self._table = scenario.user
        self._orders: list[_Order] = []
        self._changing = self._guiding = False
        self._loaded_at_steps = 0
        self._step_uu = scenario.mechanics.ratio()
        self._stopped_since_ns: int | None = None
        self._poll_ns = int(scenario.user.acknowledge_after_s * NS_PER_S)
        self._rest_until_ns = 0
        self.reasons: list[str] = []
        self.counts = {"accepted": 0, "refused": 0, "missed": 0}
        self.others = {"temps": 0, "suspends": 0, "changes": 0, "refused": 0}

    def begin(self) -> None:
        """Start the pump, and look at it from time to time."""
        self._world.request("resume", lambda _answer: None)
        self._world.after(self._poll_ns, self._look)

    def bolus(
        self,
        table: BolusTable,
        amount_uu: int,
        over_s: int,
        number: int,
        purpose: Mapping[str, int] | None = None,
    ) -> None:
        """Want a bolus now. ``purpose`` holds ``correction_uu`` and ``carbs_g`` where known."""
        request_id = str(uuid5(_IDS, str(number)))
        order = _Order(request_id, amount_uu, table, self._world.since_ns, over_s, purpose or {})
        if self._world.state != "running":
            self.counts["missed"] += 1
            return
        self._orders.append(order)
        self._ask(order)

    def _ask(self, order: _Order) -> None:
        """Review and deliver; ask again, with the same id, until there is an answer."""
        if order.answered or self._world.since_ns - order.since_ns > _GIVE_UP_NS:
            return
        if self._world.state == "running":
            self._world.request(
                "bolus.review", lambda answer: self._reviewed(order, answer), **order.words
            )
        self._world.after(_ASK_AGAIN_NS, lambda: self._ask(order))

    def _reviewed(self, order: _Order, answer: m.Answer) -> None:
        if order.answered or not isinstance(answer, m.Done):
            return
        token = answer.result["token"]
        if token is None:
            # The review of a dose that the pump has already says "busy": the id finds it.
            token = ""
            if order.request_id not in self._world.oracle.intents:
                self.reasons.append(answer.result["reasons"][0]["text"])
                self._settle(order, accepted=False)
                return
        for _ in range(order.table.asks):
            self._world.request(
                "bolus.deliver",
                lambda reply: self._delivered(order, reply),
                **order.words,
                token=token,
                stay=True,
            )

    def _delivered(self, order: _Order, answer: m.Answer) -> None:
        if isinstance(answer, m.Done):
            self._settle(order, accepted=True)
        elif isinstance(answer, m.Refused):
            if not order.answered:
                self.reasons.append(answer.reasons[0].text)
            self._settle(order, accepted=False)

    def _settle(self, order: _Order, *, accepted: bool) -> None:
        if accepted and not order.accepted:
            order.accepted = True
            self._world.oracle.accepted.add(order.request_id)
        if order.answered:
            return
        order.answered = True
        self.counts["accepted" if accepted else "refused"] += 1
        stop_s = order.table.stop_after_s
        if accepted and stop_s is not None:
            self._world.after(int(stop_s * NS_PER_S), lambda: self._stop(order.table.stops))

    def _stop(self, what: str) -> None:
        self._world.request("stop", lambda _answer: None, what=what)

    def temp(self, table: TempTable, value: int, duration_s: int) -> None:
        """Want a temporary basal now."""
        world = self._world

        def begun(answer: m.Answer) -> None:
            if not isinstance(answer, m.Done):
                self.others["refused"] += 1
                return
            self.others["temps"] += 1
            if table.cancel_after_s is not None:
                world.after(
                    int(table.cancel_after_s * NS_PER_S),
                    lambda: world.request("temp.cancel", lambda _answer: None),
                )

        world.request("temp.start", begun, kind=table.kind, value=value, duration_s=duration_s)

    def suspend(self, span_ns: int) -> None:
        """Suspend delivery, and resume it after a while."""
        if self._world.state != "running" or self._changing:
            return
        self.others["suspends"] += 1
        self._rest_until_ns = self._world.since_ns + span_ns
        self._world.request("suspend", lambda _answer: None)
        self._world.after(span_ns, self._rested)

    def _rested(self) -> None:
        if self._world.state == "suspended" and not self._changing:
            self._resume()

    def _look(self) -> None:
        """Look at the pump."""
        world = self._world
        self._orders = [one for one in self._orders if not one.answered]
        if world.state == "running":
            self._stopped_since_ns = None
            if self._left_uu() < self._table.change_below_uu and not self._orders:
                self._changing = True
                world.request("stop", lambda _answer: self._change(), what="all")
        elif world.since_ns < self._rest_until_ns and world.state == "suspended":
            pass  # that is what was asked for
        elif self._table.resumes and world.state not in ("dead", "starting"):
            if self._changing:
                self._change()
            elif self._stopped_since_ns is None:
                self._stopped_since_ns = world.since_ns
            else:
                world.request("alarms.acknowledge", lambda _answer: self._resume(), number=None)
        world.after(self._poll_ns, self._look)

    def _left_uu(self) -> int:
        steps = self._world.oracle.moved_steps - self._loaded_at_steps
        return self._world.full_uu - self._step_uu.uu_of_up(steps)

    def _change(self) -> None:
        """Put a fresh cartridge in; the pump is suspended, and nothing moves."""
        if self._world.state == "running":
            return
        if self._table.change == "guided":
            if not self._guiding:
                self._guiding = True
                self._guide()
            return
        self._world.request("cartridge.load", self._loaded, amount_uu=self._world.full_uu)

    def _loaded(self, answer: m.Answer) -> None:
        if not isinstance(answer, m.Done):
            return  # it is still moving, or not able to: the next look tries again
        self._world.fresh_cartridge()
        self._loaded_at_steps = self._world.oracle.moved_steps
        self._changed()

    def _changed(self) -> None:
        self._changing = self._guiding = False
        self.others["changes"] += 1
        self._world.request("alarms.acknowledge", lambda _answer: self._resume(), number=None)

    def _guide(self) -> None:
        """See what the pump says is to do next, and do it; look again in a moment."""
        world = self._world
        if not self._changing:
            return
        if world.state not in ("dead", "starting", "running"):
            world.request(
                "alarms.acknowledge",
                lambda _answer: world.request("cartridge.show", self._guided),
                number=None,
            )
        world.after(_GUIDE_NS, self._guide)

    def _guided(self, answer: m.Answer) -> None:
        if not isinstance(answer, m.Done) or answer.result["running"] or not self._changing:
            return
        world = self._world
        match answer.result["last"]:
            case "rewound":
                self._load_guided()
            case "loaded":
                self._step("prime", self._table.prime_uu)
            case "primed":
                self._step("cannula", self._table.cannula_uu)
            case "filled":
                site = f"site {self.others['changes'] % 8 + 1}"

                def finished(answer: m.Answer) -> None:
                    if isinstance(answer, m.Done):
                        self._changed()

                world.request("cartridge.finish", finished, site=site)
            case _:
                world.take_out()
                self._step("rewind", 0)

    def _load_guided(self) -> None:
        def loaded(answer: m.Answer) -> None:
            if isinstance(answer, m.Done):
                self._world.put_in()
                self._loaded_at_steps = self._world.oracle.moved_steps

        self._world.request("cartridge.load", loaded, amount_uu=self._world.full_uu)

    def _step(self, name: str, amount_uu: int) -> None:
        """Confirm a step of the change twice."""
        asked = {"step": name, "amount_uu": amount_uu}

        def prepared(answer: m.Answer) -> None:
            if isinstance(answer, m.Done):
                token = answer.result["token"]
                self._world.request("cartridge.run", lambda _answer: None, **asked, token=token)

        self._world.request("cartridge.prepare", prepared, **asked, declared=True)

    def _resume(self) -> None:
        if self._left_uu() < self._table.change_below_uu:
            self._changing = True
            self._change()
            return
        # Three alarms and restarts within ten minutes lock it: whoever resumes has thought of that.
        self._world.request(
            "rearm", lambda _answer: self._world.request("resume", lambda _answer: None)
        )


def run(
    scenario: Scenario,
    *,
    seed: int | None = None,
    days: float | None = None,
    pulses: bool = False,
    keep: Path | None = None,
    progress: Progress | None = None,
    beside: Path | None = None,
) -> Report:
    """Run a scenario to its end, or to the first requirement that breaks.

    ``keep`` is where the ledger goes at the end; ``progress`` hears the share that is done;
    ``beside`` is the folder in which a controller's file is looked for. Raises BadConfiguration
    where it is none.
    """
    decide = None
    if scenario.controller is not None:
        decide = controller((beside or Path()) / scenario.controller.file)
    seed = scenario.seed if seed is None else seed
    days = scenario.days if days is None else days
    report = Report(scenario.name, seed, days, "pulse" if pulses else "edge")
    began_ns = real_monotonic_ns()
    thresholds = gc.get_threshold()
    gc.set_threshold(_GARBAGE)
    folder = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="benchpump-", dir=folder) as scratch:
        path = Path(scratch) / "ledger.db"
        mechanics = scenario.mechanics.ratio()
        oracle = Oracle(
            ratio_uu=mechanics.ratio_uu,
            ratio_steps=mechanics.ratio_steps,
            quantum_steps=mechanics.quantum_steps,
            lease_uu=scenario.machine.lease_uu,
            min_interval_ns=_MIN_INTERVAL_NS,
            limits=scenario.limits.limits(),
            exact=not scenario.disturbed,
            readback=scenario.machine.readback,
        )
        world = World(scenario, SqliteLedger(path), oracle, pulses=pulses)
        try:
            _play(world, scenario, seed, days, report, progress, decide)
        except Broken as broken:
            at_s = (broken.at_ns - world.began_ns) / NS_PER_S
            report.violations.append(f"at {at_s:.3f} s: {broken}")
        except _BUGS as bug:
            text = f"a program died of {type(bug).__name__}: {bug}"
            report.violations.append(f"at {world.since_ns / NS_PER_S:.3f} s: {text}")
        finally:
            gc.set_threshold(*thresholds)
            seq, digest = world.sqlite.head()
            world.sqlite.close()
            world.close()
            if not report.violations and not pulses and not scenario.fault:
                report.audit = _audited(world, scenario, path)
                report.violations += report.audit.faults
            if keep is not None:
                shutil.copyfile(path, keep)
        report.head, report.rows = digest.hex(), seq
        report.asked_steps = oracle.asked_steps
        report.plant_steps = world.plant.steps_forward
        report.confirmed_steps = oracle.confirmed - oracle.back_confirmed
        report.maximum_steps = oracle.closed_maximum + oracle.open_steps - oracle.back_maximum
        report.alarms, report.blows, report.events = oracle.alarms, oracle.blows, world.events
        report.others |= world.happened
    report.real_s = (real_monotonic_ns() - began_ns) / NS_PER_S
    return report


def _audited(world: World, scenario: Scenario, path: Path) -> Audit:
    """Have the finished ledger gone through once more, by code that shares nothing with it."""
    log = world.plant.edge_log or ()
    mechanics = scenario.mechanics.ratio()
    truth = Truth(
        forward_ns=[at_ns for at_ns in log if at_ns > 0],
        reverse_ns=[-at_ns for at_ns in log if at_ns < 0],
        row_ns=world.row_ns,
        ratio_uu=mechanics.ratio_uu,
        ratio_steps=mechanics.ratio_steps,
        quantum_steps=mechanics.quantum_steps,
        min_interval_ns=_MIN_INTERVAL_NS,
    )
    return audit(path, truth)


def _play(
    world: World,
    scenario: Scenario,
    seed: int,
    days: float,
    report: Report,
    progress: Progress | None,
    decide: Decide | None,
) -> None:
    user = User(world, scenario)
    therapy = _therapy(world, user, scenario, seed, decide)
    report.boluses, report.refusals, report.others = user.counts, user.reasons, user.others
    end_ns = int(days * DAY_NS)
    _write_script(world, user, scenario, random.Random(seed), end_ns)  # noqa: S311
    world.at(0, user.begin)
    if therapy is not None:
        world.at(0, therapy.begin)
    for piece in range(1, _PIECES + 1):
        world.run_to(end_ns * piece // _PIECES)
        if progress is not None:
            progress(piece / _PIECES)
    if therapy is not None:
        report.courses = therapy.results()
    if scenario.disturbed:
        world.disturb()
        world.plant.clear("all", world.plant_ns)
        world.run_to(max(end_ns, world.since_ns) + _GRACE_NS)
    for second in range(_ENDING_S):
        if second % _TOLD_AGAIN_S == 0:  # a crash over its last rows brings it back
            world.terminate()
        world.run_to(world.since_ns + NS_PER_S)
        if world.pump is None and not world.comes_back:
            break
    else:
        raise Broken("liveness", "pumpd does not end", world.plant_ns)
    world.oracle.finish(world.plant_ns)


def _therapy(
    world: World, user: User, scenario: Scenario, seed: int, decide: Decide | None
) -> Therapy | None:
    if scenario.patient is None:
        return None
    silent = scenario.controller.silent_from if scenario.controller else None
    return Therapy(
        world,
        scenario.patient,
        scenario.injections,
        seed=seed,
        zone_ahead_ns=0,
        decide=decide,
        silent_from_ns=silent,
        bolus=user.bolus,
    )


def _write_script(
    world: World, user: User, scenario: Scenario, dice: random.Random, end_ns: int
) -> None:
    """Lay out everything that happens, in the order of the file; the dice decide what it leaves
    open.
    """
    orders: list[tuple[int, BolusTable, int, int]] = []
    for table in scenario.bolus:
        for at_ns in _instants(table, dice, end_ns):
            amount_uu = _drawn(dice, table.amount_uu, table.up_to_uu, _GRID_UU)
            over_s = 0
            if table.over_s is not None:
                over_s = _drawn(dice, table.over_s, table.over_up_to_s, _TIME_GRID_S)
            orders.append((at_ns, table, amount_uu, over_s))
    for number, one in enumerate(sorted(orders, key=lambda one: one[0])):
        at_ns, table, amount_uu, over_s = one
        world.at(at_ns, partial(user.bolus, table, amount_uu, over_s, number))
    for temp in scenario.temp:
        grid = _RATE_GRID_UU_PER_H if temp.kind == "rate" else 1
        for at_ns in _instants(temp, dice, end_ns):
            value = _drawn(dice, temp.value, temp.up_to_value, grid)
            duration_s = _drawn(dice, temp.duration_s, temp.up_to_s, _TIME_GRID_S)
            world.at(at_ns, partial(user.temp, temp, value, duration_s))
    for suspend in scenario.suspend:
        for at_ns in _instants(suspend, dice, end_ns):
            span_s = _drawn(dice, suspend.for_s, suspend.up_to_s, 1)
            world.at(at_ns, partial(user.suspend, span_s * NS_PER_S))
    for journey in scenario.journey:
        world.at(journey.at, partial(world.journey, journey.zone))
    for fault in scenario.fault:
        span_ns = int(fault.for_s * NS_PER_S)
        world.at(fault.at, partial(world.inject, fault.name, dict(fault.parameters), span_ns))
    for step in scenario.clock_step:
        for at_ns in _instants(step, dice, end_ns):
            world.at(at_ns, partial(world.step_clock, _drawn(dice, step.step_s, step.up_to_s, 1)))
    for crash in scenario.crash:
        kill = partial(world.crash, crash.who)
        for at_ns in _instants(crash, dice, end_ns):
            world.at(at_ns, kill)
        if crash.at_write is not None:
            world.at_write(crash.at_write, crash.when, kill)
    for outage in scenario.power_cut:
        cut = partial(
            world.cut_power,
            int(outage.off_s * NS_PER_S),
            guard_file_is_behind=outage.guard_file_is_behind,
        )
        for at_ns in _instants(outage, dice, end_ns):
            world.at(at_ns, cut)
        if outage.at_write is not None:
            world.at_write(outage.at_write, outage.when, cut)
    for freeze in scenario.freeze:
        for at_ns in _instants(freeze, dice, end_ns):
            world.at(at_ns, partial(world.freeze, freeze.who, int(freeze.for_s * NS_PER_S)))
    for stall in scenario.disk_stall:
        span_ns = int(stall.for_s * NS_PER_S)
        world.at(stall.at, lambda s=span_ns: world.stall_disk(s))  # type: ignore[misc]
    for press in scenario.press:
        world.at(press.at, lambda ms=press.ms: world.press(ms))  # type: ignore[misc]


def _drawn(dice: random.Random, least: int, most: int | None, grid: int) -> int:
    """Return a number from ``least`` up to ``most``; without ``most`` no die is thrown."""
    return least if most is None else dice.randrange(least, most + 1, grid)


def _instants(table: Often, dice: random.Random, end_ns: int) -> list[int]:
    """Return when something of this kind happens."""
    days = -(-end_ns // DAY_NS)
    if table.at is not None:
        every = [table.at]
    elif table.daily is not None:
        every = [day * DAY_NS + table.daily * NS_PER_MIN for day in range(days)]
    elif table.every_days is not None:
        stretch_ns = int(table.every_days * DAY_NS)
        stretches = range(-(-end_ns // stretch_ns))
        every = [at * stretch_ns + dice.randrange(stretch_ns) for at in stretches]
    else:
        every = [
            day * DAY_NS + dice.randrange(24 * 60) * NS_PER_MIN
            for day in range(days)
            for _ in range(table.per_day or 0)
        ]
    return [at for at in every if at < end_ns]
