"""The self-test before the first step (SR-57): a new run, every check, and one line for each.

It begins a run with the guard, starts a stepper, makes test edges with ENABLE off, and looks at
what came back. A failure inhibits delivery and is recorded; the lines stand in the snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from appliance.engine.context import Context
from appliance.engine.messages import Check, CheckResult, SpawnStepper, ToGuard, ToStepper
from appliance.ports import ClockQuality
from appliance.records import (
    Counted,
    GuardHello,
    Hello,
    ProgrammeTotal,
    Progress,
    Realtime,
    Rearm,
    TestEdges,
    Tripped,
)

_EDGES = 4
_LATENCY_NS = 5_000_000


class _Step(Enum):
    IDLE = auto()
    GUARD = auto()
    STEPPER = auto()
    EDGES = auto()
    OVER = auto()


class SelfTest:
    """One self-test at a time; ``start`` begins it and ``result`` has the lines when it is over."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self._step = _Step.IDLE
        self._since_ns = 0
        self._run = 0
        self._own: list[CheckResult] | None = None
        self._given: list[CheckResult] = []
        self.lines: list[CheckResult] = []
        self.realtime: Realtime | None = None
        self._progress: Progress | None = None
        self._counted: Counted | None = None
        self._apart0 = 0
        self._worst_ns: int | None = None
        self._acknowledged = False
        self._may_stand_at_end = False
        self._hello: GuardHello | None = None
        self._tripped = False

    @property
    def running(self) -> bool:
        """Say whether it is under way."""
        return self._step not in (_Step.IDLE, _Step.OVER)

    @property
    def over(self) -> bool:
        """Say whether a result stands that nobody has taken."""
        return self._step is _Step.OVER

    @property
    def passed(self) -> bool:
        """Say whether every line of the last result is good."""
        return bool(self.lines) and all(line.ok for line in self.lines)

    def take(self) -> bool:
        """Take the result: True where it passed."""
        self._step = _Step.IDLE
        return self.passed

    def start(
        self,
        run: int,
        given: Sequence[CheckResult],
        *,
        acknowledged: bool,
        may_stand_at_end: bool = False,
    ) -> None:
        """Begin with ``run``; ``given`` are lines that are known already, such as the ledger's.

        ``may_stand_at_end``: a rewind follows, which leaves the end stop.
        """
        self._may_stand_at_end = may_stand_at_end
        self._run, self._given = run, list(given)
        self._acknowledged = acknowledged
        self._step, self._since_ns = _Step.GUARD, self._c.now_ns
        self._own = self.realtime = self._progress = self._counted = self._hello = None
        self._worst_ns = None
        self._tripped = False
        self.lines = []
        self._c.add(Check())
        self.guard_is_up()

    def guard_is_up(self) -> None:
        """The guard's wire is open: begin the run there."""
        if self._step is _Step.GUARD:
            self._c.add(ToGuard(Rearm(self._run, int(self._acknowledged))))

    # ------------------------------------------------------------------ what is heard

    def hear_checked(self, results: Sequence[CheckResult]) -> None:
        """Take the program's own checks: disk, watchdog."""
        self._own = list(results)

    def hear(self, record: object) -> None:
        """Take a record of the guard's or the stepper's."""
        match record:
            case GuardHello(run=run) as hello if run == self._run:
                self._hello = hello
                if self._step is _Step.GUARD:
                    self._step = _Step.STEPPER
                    self._c.add(SpawnStepper(self._run))
            case Hello():
                pass
            case Realtime() as realtime:
                self.realtime = realtime
            case Progress(run=run) as progress if run == self._run:
                self._progress = progress
            case ProgrammeTotal(number=0, worst_ns=worst_ns):
                self._worst_ns = worst_ns
            case Counted(run=run) as counted if run == self._run:
                self._counted = counted
            case Tripped() if self._hello is not None:  # before its hello it was of an older run
                self._tripped = True
            case _:
                pass

    def turn(self) -> None:
        """Go on where something has come, or end where nothing came in time."""
        if not self.running:
            return
        if self._step is _Step.STEPPER and self._progress and self._counted and self.realtime:
            self._step = _Step.EDGES
            self._apart0 = self._counted.apart_edges
            self._c.add(ToGuard(TestEdges(_EDGES)))
            self._c.add(ToStepper(TestEdges(_EDGES)))
        if (
            self._step is _Step.EDGES and self._edges_are_back() and self._own is not None
        ) or self._c.now_ns - self._since_ns > self._c.times.self_test_ns:
            self._end()

    def _edges_are_back(self) -> bool:
        if self._progress is None or self._counted is None:
            return False
        back = self._counted.apart_edges - self._apart0 >= _EDGES or not self._c.machine.readback
        timed = self._worst_ns is not None
        return self._progress.test_edges >= _EDGES and back and timed

    def _end(self) -> None:
        self._step = _Step.OVER
        self.lines = [
            *self._given,
            *(self._own or [CheckResult("disk", ok=False, text="no answer")]),
        ]
        self.lines += self._guard_lines()
        self.lines += self._stepper_lines()
        self.lines.append(self._clock_line())

    def _guard_lines(self) -> list[CheckResult]:
        hello = self._hello
        if hello is None:
            return [CheckResult("guard", ok=False, text="pump-guard does not answer")]
        if hello.trip or self._tripped:
            return [
                CheckResult(
                    "guard",
                    ok=False,
                    text="its trip is latched: acknowledge the alarm, then resume",
                )
            ]
        enabled = self._counted is not None and bool(self._counted.enabled)
        pressed = self._counted is not None and bool(self._counted.button)
        return [
            CheckResult("guard", ok=True, text="answers"),
            CheckResult(
                "ENABLE", ok=not enabled, text="is on while nothing runs" if enabled else "is off"
            ),
            CheckResult(
                "stop button", ok=not pressed, text="is pressed" if pressed else "is released"
            ),
        ]

    def _stepper_lines(self) -> list[CheckResult]:
        progress = self._progress
        if progress is None or self.realtime is None:
            return [CheckResult("stepper", ok=False, text="pump-stepper does not answer")]
        lines = [
            CheckResult("stepper", ok=True, text="answers"),
            CheckResult(
                "end stop",
                ok=not progress.end_stop or self._may_stand_at_end,
                text="is active: load a fresh cartridge" if progress.end_stop else "is free",
            ),
            CheckResult(
                "motor driver",
                ok=not progress.driver_fault,
                text="reports a fault" if progress.driver_fault else "reports no fault",
            ),
            self._readback_line(progress),
        ]
        granted = bool(self.realtime.fifo and self.realtime.memory_locked)
        late = (self._worst_ns or 0) // self._c.machine.speed
        required = self._c.machine.realtime_required
        timed = self._worst_ns is not None
        ok = not required or (granted and timed and late < _LATENCY_NS)
        text = "granted" if granted else "refused by the kernel"
        lines.append(
            CheckResult(
                "real time", ok=ok, text=f"{text}; test steps came at most {late // 1_000} us late"
            )
        )
        return lines

    def _readback_line(self, progress: Progress) -> CheckResult:
        if not self._c.machine.readback:
            return CheckResult("read-back", ok=True, text='declared absent (readback = "none")')
        seen = self._counted.apart_edges - self._apart0 if self._counted else 0
        return CheckResult(
            "read-back",
            ok=seen == _EDGES == progress.test_edges,
            text=f"{progress.test_edges} test edges sent, {seen} read back",
        )

    def _clock_line(self) -> CheckResult:
        quality = self._c.reading.quality
        # A Pi without a clock chip boots in the past: it delivers, and says that its time is not to
        # be trusted.
        return CheckResult(
            "clock", ok=True, text=quality.value if quality else ClockQuality.NOT_SET.value
        )
