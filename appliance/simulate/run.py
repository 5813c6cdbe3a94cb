"""One scenario from its seed to its report: the script, the scripted user and the run itself."""

from __future__ import annotations

import gc
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid5

from appliance.adapters.clock import real_monotonic_ns
from appliance.adapters.ledger import SqliteLedger
from appliance.domain.limits import DAY_NS
from appliance.domain.units import NS_PER_MIN, NS_PER_S
from appliance.engine import messages as m
from appliance.errors import PumpError
from appliance.simulate.oracle import Broken, Oracle
from appliance.simulate.scenario import BolusTable, Scenario
from appliance.simulate.world import World

_IDS = UUID("2d6d1f0e-0f6f-5b57-9a40-7f3d51c6f0a4")
_GRACE_NS = 15 * NS_PER_MIN
_ASK_AGAIN_NS = 5 * NS_PER_S
_GIVE_UP_NS = 10 * NS_PER_MIN
_ENDING_S = 180
_TOLD_AGAIN_S = 30
_MEMORY = Path("/dev/shm")  # noqa: S108 - a disk whose syncs cost nothing, where there is one
_PIECES = 200
_GRID_UU = 10_000
_GARBAGE = 100_000  # what is made in virtual time is nearly all freed at once
# A fault that has to be noticed while the motor runs, after so long.
_NOTICED_NS = {
    "driver_fault": NS_PER_S,
    "driver_hot": NS_PER_S,
    "readback_dead": 3 * NS_PER_S,
    "step_stuck": 3 * NS_PER_S,
}

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
    refusals: list[str] = field(default_factory=list)
    alarms: int = 0
    blows: int = 0
    events: int = 0
    real_s: float = 0.0
    violations: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Order:
    """A bolus that the user wants."""

    request_id: str
    amount_uu: int
    table: BolusTable
    since_ns: int
    answered: bool = False
    refused: bool = False
    accepted: bool = False

    @property
    def words(self) -> dict[str, object]:
        """Return the dose as the pump is asked for it."""
        return {
            "request_id": self.request_id,
            "amount_uu": self.amount_uu,
            "speed": self.table.speed,
        }


class User:
    """The scripted user: gives boluses, changes cartridges, acknowledges and resumes."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._scenario = scenario
        self._table = scenario.user
        self._orders: list[_Order] = []
        self._changing = False
        self._loaded_at_steps = 0
        self._step_uu = scenario.mechanics.ratio()
        self._stopped_since_ns: int | None = None
        self._poll_ns = int(scenario.user.acknowledge_after_s * NS_PER_S)
        self.reasons: list[str] = []
        self.counts = {"accepted": 0, "refused": 0, "missed": 0}

    def begin(self) -> None:
        """Start the pump, and look at it from time to time."""
        self._world.request("resume", lambda _answer: None)
        self._world.after(self._poll_ns, self._look)

    def bolus(self, table: BolusTable, amount_uu: int, number: int) -> None:
        """Want a bolus now."""
        request_id = str(uuid5(_IDS, str(number)))
        order = _Order(request_id, amount_uu, table, self._world.since_ns)
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
            self._world.after(int(stop_s * NS_PER_S), self._stop_bolus)

    def _stop_bolus(self) -> None:
        self._world.request("stop", lambda _answer: None, what="bolus")

    def _look(self) -> None:
        """Look at the pump."""
        world = self._world
        self._orders = [one for one in self._orders if not one.answered]
        if world.state == "running":
            self._stopped_since_ns = None
            if self._left_uu() < self._table.change_below_uu and not self._orders:
                self._changing = True
                world.request("stop", lambda _answer: self._change(), what="all")
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
        self._world.request("cartridge.load", self._loaded, amount_uu=self._world.full_uu)

    def _loaded(self, answer: m.Answer) -> None:
        if not isinstance(answer, m.Done):
            return  # it is still moving, or not able to: the next look tries again
        self._changing = False
        self._world.fresh_cartridge()
        self._loaded_at_steps = self._world.oracle.moved_steps
        self._world.request("alarms.acknowledge", lambda _answer: self._resume(), number=None)

    def _resume(self) -> None:
        if self._left_uu() < self._table.change_below_uu:
            self._changing = True
            self._change()
            return
        self._world.request("resume", lambda _answer: None)


def run(
    scenario: Scenario,
    *,
    seed: int | None = None,
    days: float | None = None,
    pulses: bool = False,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run a scenario to its end, or to the first requirement that breaks.

    ``keep`` is where the ledger goes at the end; ``progress`` hears the share that is done.
    """
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
            min_interval_ns=2_000_000,
            limits=scenario.limits.limits(),
            exact=not scenario.disturbed,
            readback=scenario.machine.readback,
        )
        world = World(scenario, SqliteLedger(path), oracle, pulses=pulses)
        try:
            _play(world, scenario, seed, days, report, progress)
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
            if keep is not None:
                shutil.copyfile(path, keep)
        report.head, report.rows = digest.hex(), seq
        report.asked_steps = oracle.asked_steps
        report.plant_steps = world.plant.steps_forward
        report.confirmed_steps = oracle.confirmed
        report.maximum_steps = oracle.closed_maximum + oracle.open_steps
        report.alarms, report.blows, report.events = oracle.alarms, oracle.blows, world.events
    report.real_s = (real_monotonic_ns() - began_ns) / NS_PER_S
    return report


def _play(
    world: World,
    scenario: Scenario,
    seed: int,
    days: float,
    report: Report,
    progress: Progress | None,
) -> None:
    user = User(world, scenario)
    report.boluses, report.refusals = user.counts, user.reasons
    end_ns = int(days * DAY_NS)
    _write_script(world, user, scenario, random.Random(seed), end_ns)  # noqa: S311
    world.at(0, user.begin)
    for piece in range(1, _PIECES + 1):
        world.run_to(end_ns * piece // _PIECES)
        if progress is not None:
            progress(piece / _PIECES)
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


def _write_script(
    world: World, user: User, scenario: Scenario, dice: random.Random, end_ns: int
) -> None:
    """Lay out everything that happens, in the order of the file; the dice decide what it leaves
    open.
    """
    orders: list[tuple[int, BolusTable, int]] = []
    for table in scenario.bolus:
        for at_ns in _instants(table, dice, end_ns):
            most_uu = table.up_to_uu or table.amount_uu
            amount_uu = dice.randrange(table.amount_uu, most_uu + 1, _GRID_UU)
            orders.append((at_ns, table, amount_uu))
    for number, (at_ns, table, amount_uu) in enumerate(sorted(orders, key=lambda one: one[0])):
        world.at(at_ns, lambda t=table, a=amount_uu, n=number: user.bolus(t, a, n))  # type: ignore[misc]
    for fault in scenario.fault:
        _fault(world, fault.name, dict(fault.parameters), fault.at, int(fault.for_s * NS_PER_S))
    for step in scenario.clock_step:
        world.at(step.at, lambda s=step.step_s: world.step_clock(s))  # type: ignore[misc]
    for crash in scenario.crash:
        action = lambda who=crash.who: _crash(world, who)  # noqa: E731
        if crash.at is not None:
            world.at(crash.at, action)
        if crash.at_write is not None:
            world.at_write(crash.at_write, crash.when, action)
    for cut in scenario.power_cut:
        off_ns = int(cut.off_s * NS_PER_S)
        action = lambda off=off_ns, behind=cut.guard_file_is_behind: world.cut_power(  # type: ignore[misc]  # noqa: E731
            off, guard_file_is_behind=behind
        )
        if cut.at is not None:
            world.at(cut.at, action)
        if cut.at_write is not None:
            world.at_write(cut.at_write, cut.when, action)
    for freeze in scenario.freeze:
        span_ns = int(freeze.for_s * NS_PER_S)
        world.at(freeze.at, lambda w=freeze.who, s=span_ns: world.freeze(w, s))  # type: ignore[misc]
    for stall in scenario.disk_stall:
        span_ns = int(stall.for_s * NS_PER_S)
        world.at(stall.at, lambda s=span_ns: world.stall_disk(s))  # type: ignore[misc]
    for press in scenario.press:
        world.at(press.at, lambda ms=press.ms: world.press(ms))  # type: ignore[misc]


def _instants(table: BolusTable, dice: random.Random, end_ns: int) -> list[int]:
    """Return when a bolus of this kind is wanted."""
    if table.at is not None:
        return [table.at] if table.at < end_ns else []
    days = -(-end_ns // DAY_NS)
    if table.daily is not None:
        every = [day * DAY_NS + table.daily * NS_PER_MIN for day in range(days)]
    else:
        every = [
            day * DAY_NS + dice.randrange(24 * 60) * NS_PER_MIN
            for day in range(days)
            for _ in range(table.per_day or 0)
        ]
    return [at for at in every if at < end_ns]


def _crash(world: World, who: str) -> None:
    """Kill a program, and expect to hear of it where it was up."""
    if who == "pumpd" and world.pump is not None:
        world.oracle.expect_alarm("a kill of pumpd", world.plant_ns)
    world.crash(who)


def _fault(
    world: World, name: str, parameters: dict[str, object], at_ns: int, span_ns: int
) -> None:
    """Inject a fault; one that has to be noticed must have an alarm, if the motor went on."""
    world.at(at_ns, lambda: world.inject(name, parameters, span_ns))
    noticed_ns = _NOTICED_NS.get(name)
    if noticed_ns is None or span_ns < noticed_ns + NS_PER_S:
        return

    def begins() -> None:
        before = world.oracle.issued_steps
        world.after(span_ns - noticed_ns, lambda: judge(before))

    def judge(before: int) -> None:
        if world.state == "running" and world.oracle.issued_steps - before > 4:
            world.oracle.expect_alarm(f"fault {name}", world.plant_ns - span_ns)

    world.at(at_ns, begins)
