"""The delivery loop: a clock turned by hand, an axis that asserts, and never a burst."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.errors import ActuatorFault, PinFault
from appliance.records import (
    NO_LIMIT,
    Beat,
    Bye,
    Carry,
    Direction,
    Enable,
    End,
    Ended,
    Hello,
    Lease,
    Motion,
    Programme,
    ProgrammeTotal,
    Progress,
    Record,
    Stop,
    halves,
    whole,
)
from appliance.records import TestEdges as Edges  # a name that pytest does not collect
from appliance.stepper.loop import Ratio, Stepper, Timing

MS = 1_000_000
S = 1_000 * MS
H = 3_600 * S
UU_PER_STEP = 1_000  # of a motor that makes the sums easy
STEP = UU_PER_STEP * H  # one microstep, in the unit of a carry
MIN_INTERVAL_MS = 2


def rate(steps_per_s: int) -> int:
    """Return the rate that makes so many steps a second."""
    return steps_per_s * UU_PER_STEP * 3_600


def owed(steps_per_s: int, span_ns: int) -> int:
    return steps_per_s * span_ns // S


@dataclass
class Axis:
    """A motor's driver that refuses what a driver must, and remembers every edge."""

    now: Callable[[], int]
    min_interval_ns: int
    edges: list[int] = field(default_factory=list)
    directions: list[int] = field(default_factory=list)
    direction: int = Direction.FORWARD
    budget: int = 0
    allowed: int = 0
    fails_at: int = -1
    failure: Exception | None = None
    dir_failure: Exception | None = None

    def set_direction(self, direction: int) -> None:
        if self.dir_failure is not None:
            raise self.dir_failure
        self.direction = direction

    def step(self, count: int = 1) -> int:
        assert count == 1
        assert self.budget > 0, "an edge over the step budget"
        if self.edges:
            assert self.now() - self.edges[-1] >= self.min_interval_ns, "an edge too early"
        if len(self.edges) == self.fails_at and self.failure is not None:
            raise self.failure
        self.budget -= 1
        self.edges.append(self.now())
        self.directions.append(self.direction)
        return 1

    def wait_ns(self) -> int:
        return max(0, self.edges[-1] + self.min_interval_ns - self.now()) if self.edges else 0

    def allow(self, steps: int) -> None:
        self.budget += steps
        self.allowed += steps

    def revoke(self) -> None:
        self.budget = 0


@dataclass
class Line:
    """A level that the test sets."""

    active: bool = False
    failure: Exception | None = None

    def is_active(self) -> bool:
        if self.failure is not None:
            raise self.failure
        return self.active


class Bench:
    """The loop with a guard that answers each beat ``answer_ms`` later."""

    def __init__(
        self,
        *,
        hold: bool = True,
        quantum: int = 1,
        min_interval_ms: int = MIN_INTERVAL_MS,
        answer_ms: int = 1,
        axis_wait: bool = True,
    ) -> None:
        self.now_ns = 0
        self.axis = Axis(lambda: self.now_ns, min_interval_ms * MS)
        if not axis_wait:
            self.axis.wait_ns = lambda: 0  # type: ignore[method-assign]
        self.end_stop, self.driver_fault = Line(), Line()
        self.stepper = Stepper(
            run=1,
            ratio=Ratio(UU_PER_STEP, 1, quantum),
            timing=Timing.at(1, min_interval_ms * 1_000),
            axis=self.axis,
            end_stop=self.end_stop,
            driver_fault=self.driver_fault,
            hold=hold,
        )
        self.answer_ns = answer_ms * MS
        self.guard_says: int | None = None  # None: what is wished; 0: off whatever is wished
        self.silent = False
        self.mail: list[tuple[int, Record]] = []
        self.said: list[Record] = []
        self.beats: list[Beat] = []
        self.wake_ns = 0
        self.turn()

    def turn(self, *mail: Record) -> None:
        """Turn the loop now, with what has arrived."""
        due = [record for at, record in self.mail if at <= self.now_ns]
        self.mail = [one for one in self.mail if one[0] > self.now_ns]
        to_pumpd, to_guard, self.wake_ns = self.stepper.turn(self.now_ns, [*due, *mail])
        self.said += to_pumpd
        for beat in to_guard:
            assert isinstance(beat, Beat)
            self.beats.append(beat)
            if not self.silent:
                on = beat.want_enable if self.guard_says is None else self.guard_says
                self.mail.append((self.now_ns + self.answer_ns, Enable(on, beat.wish)))

    def at(self, now_ns: int, *mail: Record) -> None:
        """Turn the loop at one instant, whatever came before."""
        self.now_ns = now_ns
        self.turn(*mail)

    def run_until(self, end_ns: int, late: Callable[[], int] = lambda: 0) -> None:
        """Wake the loop when it asks to be woken, or when mail comes, ``late`` ns late each."""
        on_the_spot = 0
        while (next_ns := min([self.wake_ns, *(at for at, _ in self.mail)])) < end_ns:
            then_ns = max(self.now_ns, next_ns + late())
            on_the_spot = on_the_spot + 1 if then_ns == self.now_ns else 0
            assert on_the_spot < 20, f"the loop turns on the spot at {self.now_ns}"
            self.now_ns = then_ns
            self.turn()
        self.now_ns = max(self.now_ns, end_ns)

    def post(self, after_ns: int, *records: Record) -> None:
        """Have mail arrive later."""
        self.mail += [(self.now_ns + after_ns, record) for record in records]

    def fresh(self) -> Enable:
        """Return the guard's yes to the wish that is open."""
        return Enable(1, self.beats[-1].wish)

    @property
    def steps(self) -> int:
        return len(self.axis.edges)

    def ended(self, number: int) -> Ended:
        (one,) = (r for r in self.said if isinstance(r, Ended) and r.number == number)
        return one

    def reasons(self) -> dict[int, End]:
        return {r.number: End(r.reason) for r in self.said if isinstance(r, Ended)}

    def total(self, number: int) -> ProgrammeTotal:
        return [r for r in self.said if isinstance(r, ProgrammeTotal) and r.number == number][-1]

    def progress(self) -> Progress:
        return [r for r in self.said if isinstance(r, Progress)][-1]


def lease(number: int, steps: int, motion: Motion = Motion.DOSE, stops: int = 0) -> Lease:
    back = motion is Motion.REWIND
    direction = Direction.REVERSE if back else Direction.FORWARD
    return Lease(number, int(motion), int(direction), steps, stops)


def programme(
    number: int,
    steps_per_s: int,
    start_ns: int = 0,
    *,
    until_ns: int = NO_LIMIT,
    steps: int = NO_LIMIT,
    carry: int = 0,
    follows: int = 0,
    motion: Motion = Motion.DOSE,
    stops: int = 0,
) -> Programme:
    return Programme(
        number,
        int(motion),
        rate(steps_per_s),
        start_ns,
        until_ns,
        steps,
        *halves(carry),
        follows,
        stops,
    )


PLENTY = lease(1, 1_000_000)


def running(steps_per_s: int, **more: int) -> Bench:
    """Return a bench on which programme 1 runs, with ENABLE on and leases enough."""
    bench = Bench()
    bench.turn(PLENTY, programme(1, steps_per_s, **more))
    bench.run_until(5 * MS)
    return bench


# ------------------------------------------------------------------ leases


def test_sr_35_without_a_lease_there_is_no_step() -> None:
    bench = Bench()
    bench.turn(programme(1, 10))
    bench.run_until(4 * S)
    assert bench.steps == 0
    assert bench.reasons() == {}


def test_sr_35_steps_go_out_at_their_deadlines() -> None:
    bench = Bench()
    bench.turn(PLENTY, programme(1, 10, steps=5))
    bench.run_until(2 * S)
    assert bench.axis.edges == [at * 100 * MS for at in (1, 2, 3, 4, 5)]
    assert bench.reasons() == {1: End.DONE}
    assert bench.ended(1).issued_steps == bench.ended(1).run_issued_steps == 5


def test_sr_35_leases_are_used_in_their_order_and_the_steps_end_where_they_end() -> None:
    bench = Bench()
    bench.turn(lease(7, 3), lease(8, 2), programme(1, 10, steps=10))
    bench.run_until(3 * S)
    assert bench.steps == 5
    seen = [r.lease_number for r in bench.said if isinstance(r, Progress) if r.issued_steps]
    assert [after for before, after in pairwise([0, *seen]) if after != before] == [7, 8, 0]
    assert bench.progress().lease_number == 0
    assert bench.axis.budget == 0
    bench.turn(lease(9, 4))
    bench.run_until(5 * S)
    assert bench.steps == 9


def test_sr_35_a_lease_is_told_in_every_beat_until_it_is_used_up() -> None:
    bench = Bench()
    bench.turn(lease(7, 1), lease(8, 1), programme(1, 10, steps=2))
    bench.run_until(S)
    told = [beat.lease_number for beat in bench.beats]
    assert [after for before, after in pairwise([0, *told]) if after != before] == [7, 8, 0]


def test_sr_33_a_lease_of_another_motion_moves_nothing() -> None:
    bench = Bench()
    bench.turn(lease(1, 50, Motion.PRIME), programme(1, 10))
    bench.run_until(4 * S)
    assert bench.steps == 0
    bench.run_until(6 * S)
    assert bench.reasons() == {1: End.STALLED}


def test_sr_33_a_dose_never_goes_back_and_a_rewind_never_forward() -> None:
    bench = Bench()
    bench.turn(lease(1, 3), programme(1, 10, steps=3))
    bench.run_until(S)
    bench.turn(lease(2, 3, Motion.REWIND), programme(2, 10, S, steps=3, motion=Motion.REWIND))
    bench.run_until(2 * S)
    bench.turn(lease(3, 3, Motion.PRIME), programme(3, 10, 2 * S, steps=3, motion=Motion.PRIME))
    bench.run_until(3 * S)
    assert bench.axis.directions == [1, 1, 1, -1, -1, -1, 1, 1, 1]


# ------------------------------------------------------------------ stops


def test_sr_22_a_stop_in_the_mail_is_obeyed_before_the_deadline_of_the_same_instant() -> None:
    bench = running(10)
    bench.run_until(100 * MS)
    bench.at(100 * MS, bench.fresh(), Stop(0))
    assert bench.steps == 0
    assert bench.reasons() == {1: End.STOPPED}
    assert bench.axis.budget == 0
    bench.run_until(2 * S)
    assert bench.steps == 0


def test_sr_22_a_late_wake_with_a_stop_in_the_mail_makes_no_edge() -> None:
    bench = running(10)
    bench.at(140 * MS, bench.fresh(), Stop(0))
    assert bench.steps == 0


def test_a_stop_of_one_programme_leaves_the_others_and_the_leases() -> None:
    bench = running(10)
    bench.turn(programme(2, 5))
    bench.run_until(S)
    bench.at(S, bench.fresh(), Stop(1))
    bench.run_until(2 * S)
    assert bench.reasons() == {1: End.STOPPED}
    assert bench.ended(1).issued_steps == 9
    assert bench.total(2).issued_steps == owed(5, 2 * S - 1)


def test_sr_22_a_programme_and_a_lease_from_before_a_stop_never_start() -> None:
    bench = running(10)
    bench.run_until(250 * MS)
    steps = bench.steps
    bench.turn(Stop(0))
    assert bench.progress().stops == 1
    bench.turn(lease(2, 100, stops=0), programme(2, 10, 250 * MS, stops=0))
    bench.run_until(6 * S)
    assert bench.steps == steps
    assert bench.reasons() == {1: End.STOPPED, 2: End.STOPPED}
    assert bench.ended(2).issued_steps == 0
    assert bench.axis.budget == 0


def test_sr_22_of_two_that_crossed_a_stop_neither_half_moves_anything() -> None:
    for late_half, new_half in (
        (lease(2, 100, stops=0), programme(2, 10, stops=1)),
        (programme(2, 10, stops=0), lease(2, 100, stops=1)),
    ):
        bench = Bench()
        bench.turn(Stop(0), late_half, new_half)
        bench.run_until(4 * S)
        assert bench.steps == 0


def test_what_is_sent_after_a_stop_starts_again() -> None:
    bench = running(10)
    bench.run_until(250 * MS)
    bench.turn(Stop(0))
    bench.turn(lease(2, 3, stops=1), programme(2, 10, 250 * MS, steps=3, stops=1))
    bench.run_until(2 * S)
    assert bench.steps == 2 + 3
    assert bench.reasons() == {1: End.STOPPED, 2: End.DONE}


def test_a_stop_that_comes_first_is_counted_too() -> None:
    bench = Bench()
    bench.turn(Stop(0), Stop(0))
    assert bench.progress().stops == 2
    bench.turn(Stop(7))  # of a programme that is not there: nothing to count
    bench.run_until(S)
    assert bench.progress().stops == 2


def test_a_stop_of_one_that_waits_takes_it_away() -> None:
    bench = running(10, until_ns=S)
    bench.turn(programme(2, 10, S, follows=1))
    bench.turn(Stop(2))
    bench.run_until(3 * S)
    assert bench.reasons() == {2: End.STOPPED, 1: End.DONE}
    assert bench.steps == 10


def test_a_stop_of_one_that_others_wait_for_ends_all_of_them_and_says_so() -> None:
    bench = running(10, until_ns=S)
    bench.turn(programme(2, 10, S, until_ns=2 * S, follows=1), programme(3, 10, 2 * S, follows=2))
    bench.turn(Stop(1))
    bench.run_until(5 * S)
    assert bench.reasons() == {1: End.STOPPED, 2: End.STOPPED, 3: End.STOPPED}
    assert bench.ended(2).issued_steps == bench.ended(3).issued_steps == 0


# ------------------------------------------------------------------ lateness (SR-23)


@pytest.mark.parametrize(
    ("late_ms", "slips", "shift_ms", "end"),
    [
        (0, 0, 0, None),
        (49, 0, 0, None),
        (51, 1, 51, None),
        (60, 1, 60, None),
        (199, 1, 199, None),
        (200, 1, 200, None),
        (201, 0, 0, End.LATE),
        (330, 0, 0, End.LATE),
        (3_600_000, 0, 0, End.LATE),
    ],
)
def test_sr_23_f35_a_step_late_by_60_ms_shifts_the_programme_and_one_by_201_ms_ends_it(
    late_ms: int, slips: int, shift_ms: int, end: End | None
) -> None:
    bench = running(1)
    bench.run_until(S)
    bench.at(S + late_ms * MS, bench.fresh())
    if end is not None:
        assert bench.steps == 0
        assert bench.reasons() == {1: end}
        assert bench.ended(1).detail == late_ms * MS
        assert bench.axis.budget == 0
        return
    assert bench.steps == 1
    bench.run_until(2 * S + 500 * MS)
    assert bench.axis.edges == [S + late_ms * MS, 2 * S + shift_ms * MS]
    total = bench.total(1)
    assert (total.slips, total.shift_ns, total.worst_ns) == (slips, shift_ms * MS, late_ms * MS)


@pytest.mark.parametrize(("late_ms", "slips"), [(9, 0), (10, 0), (11, 1), (30, 1), (49, 1)])
def test_sr_23_a_step_later_than_its_own_interval_shifts_the_programme_too(
    late_ms: int, slips: int
) -> None:
    bench = running(100)
    bench.run_until(100 * MS)
    assert bench.steps == 9
    bench.at(100 * MS + late_ms * MS, bench.fresh())
    bench.run_until(1_000 * MS)
    assert bench.total(1).slips == slips
    assert bench.total(1).shift_ns == slips * late_ms * MS
    if slips:
        assert bench.axis.edges[10] - bench.axis.edges[9] == 10 * MS


def slipping(bench: Bench, times: int, gap_ns: int) -> None:
    """Have the loop wake 60 ms late for ``times`` steps, one every ``gap_ns`` or so."""
    for _ in range(times):
        bench.run_until(bench.now_ns + gap_ns)
        while bench.wake_ns <= bench.now_ns or not is_due(bench):
            bench.now_ns = min([bench.wake_ns, *(at for at, _ in bench.mail)])
            if is_due(bench):
                break
            bench.turn()
        bench.at(bench.now_ns + 60 * MS, bench.fresh())


def is_due(bench: Bench) -> bool:
    """Say whether the next step falls due now: the programme makes one a second."""
    shift_ns = (
        bench.total(1).shift_ns if any(isinstance(r, ProgrammeTotal) for r in bench.said) else 0
    )
    return (bench.now_ns - shift_ns) % S == 0 and bench.now_ns > 0


def test_sr_23_ten_slips_in_a_minute_are_recorded_and_the_eleventh_ends_the_dose() -> None:
    bench = running(1)
    slipping(bench, 10, 500 * MS)
    assert bench.reasons() == {}
    assert bench.total(1).slips == 10
    assert bench.steps == 10
    slipping(bench, 1, 500 * MS)
    assert bench.reasons() == {1: End.OFTEN_LATE}
    assert bench.ended(1).slips == 11
    assert bench.steps == 10  # the step that was too late once too often did not go out


def test_sr_23_slips_that_are_further_apart_go_on_for_ever() -> None:
    bench = running(1)
    slipping(bench, 40, 6 * S)
    assert bench.reasons() == {}
    assert bench.total(1).slips == 40


def test_sr_23_each_slip_is_told_at_once() -> None:
    bench = running(1)
    bench.run_until(S)
    told = len(bench.said)
    bench.at(S + 60 * MS, bench.fresh())
    assert any(isinstance(r, ProgrammeTotal) and r.slips == 1 for r in bench.said[told:])


LATENESS = st.sampled_from([0, 0, 0, 0, MS, 3 * MS, 9 * MS, 49 * MS, 60 * MS, 150 * MS, 199 * MS])


@settings(max_examples=3 * settings.default.max_examples)
@given(
    st.sampled_from([1, 3, 7, 20, 45, 100, 400]),
    st.integers(0, STEP - 1),
    st.lists(LATENESS | st.integers(0, 190 * MS), min_size=1, max_size=60),
)
def test_sr_23_f35_however_late_the_loop_wakes_nothing_is_ever_caught_up(
    steps_per_s: int, carry: int, lateness: list[int]
) -> None:
    bench = Bench()
    bench.turn(PLENTY, programme(1, steps_per_s, carry=carry))
    bench.run_until(5 * MS)
    interval_ns = S // steps_per_s
    absorbed_ns = min(50 * MS, max(interval_ns, 2 * MIN_INTERVAL_MS * MS)) + 1
    for late_ns in lateness:
        if bench.reasons():
            break
        bench.at(max(bench.now_ns + 1, bench.wake_ns) + late_ns, bench.fresh())
        total = bench.total(1)
        running_ns = bench.now_ns - (0 if bench.reasons() else total.shift_ns)
        assert bench.steps <= (carry + steps_per_s * STEP // S * running_ns) // STEP
    edges = bench.axis.edges
    for at, edge in enumerate(edges):
        for later in range(at + 1, len(edges)):
            assert edges[later] - edge >= (later - at) * interval_ns - absorbed_ns
    assert all(after - before >= MIN_INTERVAL_MS * MS for before, after in pairwise(edges))


def test_sr_23_a_day_of_small_lateness_loses_nothing_and_shifts_nothing() -> None:
    bench = Bench()
    bench.turn(PLENTY, programme(1, 3))
    lateness = iter(range(10**9))
    bench.run_until(60 * S, late=lambda: next(lateness) * 977 * 1_000 % (40 * MS))
    assert bench.total(1).slips == 0
    assert bench.total(1).shift_ns == 0
    assert 179 <= bench.steps <= 180


# ------------------------------------------------------------------ stalls


@pytest.mark.parametrize(("wait_ms", "end"), [(4_900, None), (5_100, End.STALLED)])
def test_f20_waiting_for_a_lease_is_a_stall_and_over_five_seconds_of_it_end_the_dose(
    wait_ms: int, end: End | None
) -> None:
    bench = Bench()
    bench.turn(lease(1, 2), programme(1, 10, steps=20))
    bench.run_until(300 * MS)
    assert bench.steps == 2
    bench.run_until((300 + wait_ms) * MS)
    bench.turn(lease(2, 100))
    bench.run_until(bench.now_ns + 3 * S)
    if end is not None:
        assert bench.reasons() == {1: End.STALLED}
        assert bench.steps == 2
        assert bench.ended(1).detail > 5 * S
    else:
        assert bench.reasons() == {1: End.DONE}
        resumed_ns = (300 + wait_ms) * MS
        assert bench.axis.edges[2:] == [resumed_ns + at * 100 * MS for at in range(18)]
        assert bench.ended(1).slips == 0  # the disk was slow, not the loop
        assert bench.ended(1).shift_ns == wait_ms * MS


def test_f20_the_loop_beats_on_in_a_stall() -> None:
    bench = Bench()
    bench.turn(programme(1, 10))
    bench.run_until(4 * S)
    late = [b.at_ns - a.at_ns for a, b in pairwise(bench.beats) if b.at_ns - a.at_ns > 10 * MS]
    assert late == []
    assert all(beat.armed for beat in bench.beats[1:])


def test_f20_after_a_stall_every_programme_is_put_back_and_none_bursts() -> None:
    bench = Bench()
    bench.turn(lease(1, 1), programme(1, 10), programme(2, 7))
    bench.run_until(3 * S)
    assert bench.steps == 1
    bench.turn(lease(2, 1_000))
    bench.run_until(5 * S)
    gaps = [after - before for before, after in pairwise(bench.axis.edges[1:])]
    assert min(gaps) >= MIN_INTERVAL_MS * MS
    assert len([edge for edge in bench.axis.edges if edge < 4 * S]) <= 1 + 10 + 7 + 2
    assert bench.total(1).slips == bench.total(2).slips == 0


def test_f20_a_stop_in_a_stall_leaves_less_than_a_microstep_to_carry() -> None:
    """What was not delivered in a stall is not owed, so it must not come back as a carry."""
    bench = Bench()
    bench.turn(lease(1, 1), programme(1, 20))
    bench.run_until(4 * S)
    bench.at(4 * S, Stop(0))
    ended = bench.ended(1)
    assert ended.issued_steps == 1
    assert 0 <= whole(ended.carry_high, ended.carry_low) < STEP


def test_f20_a_stall_over_the_border_of_two_blocks_is_no_lateness() -> None:
    bench = Bench()
    bench.turn(lease(1, 9), programme(1, 10, until_ns=S), programme(2, 20, S, follows=1))
    bench.run_until(4 * S)
    assert bench.steps == 9
    bench.turn(lease(2, 1_000))
    bench.run_until(5 * S)
    assert bench.reasons() == {1: End.DONE}
    assert bench.steps == 9 + 1 + 20  # one step of each was due, and no more than one
    assert bench.total(2).slips == 0
    assert {b - a for a, b in pairwise(bench.axis.edges[11:])} == {50 * MS}


# ------------------------------------------------------------------ ENABLE


def test_sr_29_there_is_no_step_before_the_guard_says_on() -> None:
    bench = Bench()
    bench.guard_says = 0
    bench.turn(PLENTY, programme(1, 10))
    bench.run_until(3 * S)
    assert bench.steps == 0
    assert bench.progress().enabled == 0
    bench.guard_says = None
    bench.run_until(4 * S)
    assert bench.steps == 10  # from then on, and nothing is made up
    assert min(b - a for a, b in pairwise(bench.axis.edges)) == 100 * MS


@pytest.mark.parametrize("hold", [True, False])
def test_the_loop_foretells_each_step_and_takes_no_beat_for_one(
    hold: bool,  # noqa: FBT001
) -> None:
    bench = running(10) if hold else Bench(hold=False)
    if not hold:
        bench.turn(PLENTY, programme(1, 10))
    foretold, steps = 0, bench.steps
    while bench.now_ns < 2 * S:
        said_ns = bench.wake_ns if bench.stepper.wakes_to_step else None
        bench.now_ns = min([bench.wake_ns, *(at for at, _ in bench.mail)])
        bench.turn()
        if bench.steps > steps:
            assert bench.axis.edges[-1] == said_ns, "a step came at another instant than was said"
            foretold += 1
        elif said_ns == bench.now_ns:
            pytest.fail("a wake that was said to be for a step issued none")
        steps = bench.steps
    assert foretold == steps >= 18


def test_sr_58_a_guard_that_does_not_answer_for_200_ms_ends_the_dose() -> None:
    bench = running(10)
    bench.run_until(250 * MS)
    assert bench.steps == 2
    bench.silent, bench.mail = True, []
    answered_ns = 241 * MS
    bench.run_until(answered_ns + 200 * MS)
    assert bench.reasons() == {}
    bench.run_until(answered_ns + 211 * MS)
    assert bench.reasons() == {1: End.DISABLED}
    assert bench.ended(1).detail > 200 * MS
    assert bench.beats[-1].want_enable == 0


def test_sr_58_a_guard_that_never_answers_ends_the_dose_before_its_first_step() -> None:
    bench = Bench()
    bench.silent = True
    bench.turn(PLENTY, programme(1, 1))
    bench.run_until(230 * MS)
    assert bench.reasons() == {1: End.DISABLED}
    assert bench.steps == 0


def test_sr_29_off_while_armed_is_a_fault_and_stops_the_next_edge() -> None:
    bench = running(10)
    bench.run_until(200 * MS)
    bench.at(200 * MS, Enable(0, bench.beats[-1].wish))
    assert bench.steps == 1
    assert bench.reasons() == {1: End.DISABLED}
    bench.run_until(3 * S)
    assert bench.steps == 1


def test_sr_29_an_answer_to_an_older_wish_is_not_believed() -> None:
    bench = Bench()
    bench.silent = True
    old = bench.beats[-1].wish
    bench.turn(PLENTY, programme(1, 10))
    assert bench.beats[-1].wish == old + 1
    for at_ms in range(10, 190, 10):
        bench.at(at_ms * MS, Enable(1, old))
    assert bench.steps == 0
    bench.at(195 * MS, Enable(1, old + 1))
    bench.at(200 * MS, Enable(0, old))  # a late "off" to the wish before
    assert bench.reasons() == {}
    bench.silent = False
    bench.run_until(400 * MS)
    assert bench.steps > 0


def test_sr_29_after_a_stop_enable_is_given_back_and_the_next_dose_asks_anew() -> None:
    bench = running(10)
    bench.run_until(250 * MS)
    bench.turn(Stop(0))
    bench.run_until(2 * S)
    dropped = next(b for b in bench.beats if b.at_ns > 250 * MS and not b.want_enable)
    assert dropped.at_ns <= 250 * MS + 200 * MS  # the guard reads the last edges first
    assert bench.progress().enabled == 0
    wish = bench.beats[-1].wish
    bench.turn(lease(2, 10, stops=1), programme(2, 10, 2 * S, stops=1))
    assert (bench.beats[-1].want_enable, bench.beats[-1].wish) == (1, wish + 1)
    bench.run_until(2 * S + 150 * MS)
    assert bench.steps == 3


def test_sr_29_after_a_fault_enable_is_given_back_in_the_same_turn() -> None:
    bench = running(10)
    bench.run_until(95 * MS)
    bench.driver_fault.active = True
    bench.run_until(101 * MS)
    assert bench.reasons() == {1: End.DRIVER_FAULT}
    assert bench.beats[-1].want_enable == 0
    assert bench.beats[-1].at_ns == 100 * MS


def test_sr_58_the_loop_beats_every_10_ms_while_armed_and_ten_times_a_second_at_rest() -> None:
    bench = Bench()
    bench.run_until(S)
    assert {b.at_ns - a.at_ns for a, b in pairwise(bench.beats)} == {100 * MS}
    assert not any(beat.armed for beat in bench.beats)
    begin = len(bench.beats)
    bench.turn(PLENTY, programme(1, 1, S))
    bench.run_until(2 * S)
    assert {b.at_ns - a.at_ns for a, b in pairwise(bench.beats[begin:])} == {10 * MS}
    assert all(beat.armed and beat.want_enable for beat in bench.beats[begin:])


# ------------------------------------------------------------------ hold = "off"


def test_sr_29_without_current_enable_is_asked_for_50_ms_before_and_dropped_after() -> None:
    bench = Bench(hold=False, quantum=16)
    bench.turn(lease(1, 16), lease(2, 16), programme(1, 8, steps=32))
    bench.run_until(6 * S)
    assert bench.steps == 32
    first, second = bench.axis.edges[0], bench.axis.edges[16]
    assert (first, second) == (2 * S, 4 * S)
    wanted = [(beat.at_ns, beat.want_enable) for beat in bench.beats]
    changes = [b for a, b in pairwise([(0, 0), *wanted]) if a[1] != b[1]]
    assert [want for _, want in changes] == [1, 0, 1, 0]
    last = (bench.axis.edges[15], bench.axis.edges[31])
    for place, edge_ns in ((0, first), (2, second)):
        assert 0 < edge_ns - changes[place][0] <= 50 * MS
    for place, edge_ns in ((1, last[0]), (3, last[1])):
        assert 0 < changes[place][0] - edge_ns <= 250 * MS


def test_without_current_the_microsteps_of_a_full_step_go_out_together() -> None:
    bench = Bench(hold=False, quantum=16)
    bench.turn(lease(1, 16), programme(1, 8, steps=16))
    bench.run_until(4 * S)
    edges = bench.axis.edges
    assert edges == [2 * S + at * MIN_INTERVAL_MS * MS for at in range(16)]
    assert bench.reasons() == {1: End.DONE}


@pytest.mark.parametrize("number", [0, 1])
def test_sr_22_without_current_a_stop_finishes_the_full_step_in_progress(number: int) -> None:
    bench = Bench(hold=False, quantum=16)
    bench.turn(lease(1, 16), lease(2, 16), programme(1, 8, steps=32))
    bench.run_until(2 * S + 9 * MS)
    assert bench.steps == 5
    bench.turn(Stop(number))
    assert bench.reasons() == {}
    bench.run_until(6 * S)
    assert bench.steps == 16
    assert bench.reasons() == {1: End.STOPPED}
    assert bench.axis.edges[-1] <= 2 * S + 40 * MS  # inside SR-21's time
    assert bench.progress().stops == (1 if number == 0 else 0)


def test_sr_22_without_current_a_fault_stops_in_the_middle_of_a_full_step() -> None:
    bench = Bench(hold=False, quantum=16)
    bench.turn(lease(1, 16), programme(1, 8, steps=16))
    bench.run_until(2 * S + 9 * MS)
    bench.turn(Stop(0))
    bench.driver_fault.active = True
    bench.run_until(4 * S)
    assert bench.steps == 5
    assert bench.reasons() == {1: End.DRIVER_FAULT}
    assert bench.progress().stops == 1  # the stop that waited for the full step was heard


# ------------------------------------------------------------------ several programmes


def test_two_programmes_are_merged_by_deadline_and_each_gets_its_exact_total() -> None:
    bench = Bench()
    bench.turn(PLENTY, programme(1, 3), programme(2, 7))
    bench.run_until(100 * S)
    bench.run_until(100 * S + 4 * MS)
    bench.turn(Stop(0))
    assert (bench.ended(1).issued_steps, bench.ended(2).issued_steps) == (300, 700)
    assert bench.progress().issued_steps == bench.steps == 1_000
    assert bench.ended(1).slips == bench.ended(2).slips == 0
    assert bench.ended(1).shift_ns == bench.ended(2).shift_ns == 0


def test_waiting_for_the_motors_minimum_interval_is_no_slip() -> None:
    bench = Bench()
    bench.turn(PLENTY, *(programme(number, 20) for number in range(1, 6)))
    bench.run_until(5 * S + 20 * MS)
    bench.turn(Stop(0))
    assert [bench.ended(number).issued_steps for number in range(1, 6)] == [100] * 5
    assert [bench.ended(number).slips for number in range(1, 6)] == [0] * 5
    # All five fall due together; they go out 2 ms apart.
    assert bench.axis.edges[:5] == [50 * MS + at * 2 * MS for at in range(5)]


@given(
    st.lists(st.tuples(st.integers(2, 25), st.integers(1, 24)), min_size=2, max_size=4),
)
def test_merged_programmes_end_with_exactly_what_each_was_asked(
    asked: list[tuple[int, int]],
) -> None:
    bench = Bench()
    bench.turn(
        PLENTY,
        *(
            programme(number, steps_per_s, steps=steps)
            for number, (steps_per_s, steps) in enumerate(asked, 1)
        ),
    )
    bench.run_until(13 * S)
    assert bench.reasons() == dict.fromkeys(range(1, len(asked) + 1), End.DONE)
    for number, (_, steps) in enumerate(asked, 1):
        assert bench.ended(number).issued_steps == steps
        assert bench.ended(number).slips == 0
    assert bench.steps == sum(steps for _, steps in asked)


def test_a_programme_too_fast_for_the_motor_runs_at_the_motors_pace() -> None:
    bench = Bench()
    bench.turn(PLENTY, programme(1, 2_000, steps=300))
    bench.run_until(2 * S)
    assert bench.reasons() == {1: End.DONE}
    assert bench.ended(1).slips == 0
    assert {b - a for a, b in pairwise(bench.axis.edges)} == {MIN_INTERVAL_MS * MS}
    assert bench.steps == 300


def test_a_programme_too_fast_for_the_motor_still_slips_and_ends_where_the_loop_is_late() -> None:
    for late_ms, slips, reasons in ((49, 0, {}), (60, 1, {}), (201, 0, {1: End.LATE})):
        bench = Bench()
        bench.turn(PLENTY, programme(1, 2_000))
        bench.run_until(100 * MS)
        bench.at(bench.axis.edges[-1] + (2 + late_ms) * MS, bench.fresh())
        assert bench.reasons() == reasons
        if not reasons:
            bench.run_until(bench.now_ns + 100 * MS)
            assert bench.total(1).slips == slips


def test_what_the_motor_was_too_slow_for_is_not_made_up_after_the_programmes_time() -> None:
    bench = Bench()
    bench.turn(PLENTY, programme(1, 2_000, until_ns=400 * MS))
    bench.run_until(2 * S)
    assert bench.reasons() == {1: End.DONE}
    assert bench.axis.edges[-1] <= 450 * MS
    assert bench.steps <= 450 // MIN_INTERVAL_MS


def test_sr_22_a_stop_of_one_too_fast_leaves_less_than_a_microstep_to_carry() -> None:
    bench = Bench()
    bench.turn(PLENTY, programme(1, 2_000, steps=10_000))
    bench.run_until(5 * S)
    bench.turn(Stop(1))
    ended = bench.ended(1)
    assert 0 <= whole(ended.carry_high, ended.carry_low) < STEP


def test_a_slow_and_a_fast_programme_share_the_motor_fairly() -> None:
    bench = Bench()
    bench.turn(PLENTY, programme(1, 1), programme(2, 2_000, steps=2_000))
    bench.run_until(4 * S + 100 * MS)
    assert bench.total(1).issued_steps == 4
    assert bench.total(1).slips == 0


# ------------------------------------------------------------------ until, follows, carry


def test_a_programme_ends_at_its_time_and_says_what_is_left() -> None:
    bench = running(10, until_ns=2 * S + 250 * MS)
    bench.run_until(4 * S)
    ended = bench.ended(1)
    assert (ended.reason, ended.issued_steps, ended.at_ns) == (End.DONE, 22, 2 * S + 250 * MS)
    assert whole(ended.carry_high, ended.carry_low) == STEP // 2
    assert bench.steps == 22


def test_a_step_that_falls_due_at_the_very_end_still_goes_out() -> None:
    bench = running(10, until_ns=S)
    bench.run_until(3 * S)
    assert bench.steps == 10
    assert bench.axis.edges[-1] == S
    assert bench.ended(1).carry_high == bench.ended(1).carry_low == 0


def test_a_programme_whose_time_is_over_is_ended_even_where_it_makes_no_step() -> None:
    bench = running(0, until_ns=2 * S)
    bench.run_until(4 * S)
    assert bench.reasons() == {1: End.DONE}
    assert bench.steps == 0


def test_what_one_leaves_goes_out_with_the_one_that_follows() -> None:
    bench = running(10, until_ns=S + 50 * MS)
    bench.turn(programme(2, 10, S + 50 * MS, until_ns=2 * S, follows=1))
    bench.run_until(3 * S)
    assert bench.axis.edges == [at * 100 * MS for at in range(1, 21)]
    assert bench.reasons() == {1: End.DONE, 2: End.DONE}


def test_one_that_comes_after_the_end_of_what_it_follows_still_takes_the_carry() -> None:
    bench = running(10, until_ns=S + 50 * MS)
    bench.run_until(S + 70 * MS)
    assert bench.reasons() == {1: End.DONE}
    bench.turn(programme(2, 10, S + 50 * MS, until_ns=2 * S, follows=1))
    bench.run_until(3 * S)
    assert bench.axis.edges == [at * 100 * MS for at in range(1, 21)]


@pytest.mark.parametrize("late_ms", [0, 40, 60, 160, 730, 4_000])
def test_one_that_comes_too_late_for_its_first_steps_begins_now_and_makes_nothing_up(
    late_ms: int,
) -> None:
    bench = running(10, until_ns=S)
    bench.turn(programme(9, 0))  # another one keeps ENABLE on
    bench.run_until(S + (100 + late_ms) * MS)
    bench.turn(programme(2, 10, S, follows=1))
    bench.run_until(7 * S)
    assert bench.reasons() == {1: End.DONE}
    first, *after = bench.axis.edges[10:]
    assert first == S + (100 + late_ms) * MS
    # Up to 50 ms are absorbed as ever; beyond that the time until now is owed by nobody.
    assert after[0] == S + (200 + (late_ms if late_ms > 50 else 0)) * MS
    assert {b - a for a, b in pairwise(after)} == {100 * MS}
    assert bench.total(2).slips == 0  # pumpd was late, not the loop


def test_a_lease_that_ends_in_a_full_step_does_not_hold_up_a_stop() -> None:
    bench = Bench(hold=False, quantum=16)
    bench.turn(lease(1, 5), programme(1, 8, steps=16))
    bench.run_until(2 * S + 20 * MS)
    assert bench.steps == 5
    bench.turn(Stop(0))
    bench.run_until(2 * S + 60 * MS)
    assert bench.reasons() == {1: End.STOPPED}
    assert bench.progress().stops == 1


def test_two_motions_at_once_wait_for_their_leases_and_do_not_turn_on_the_spot() -> None:
    bench = Bench()
    bench.turn(lease(1, 5, Motion.PRIME), programme(1, 10), programme(2, 7, motion=Motion.PRIME))
    bench.run_until(4 * S)
    assert bench.reasons() == {}


BLOCKS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 1_000)), min_size=1, max_size=6)


@given(BLOCKS, st.integers(0, STEP - 1), st.sampled_from([-1, 1]))
def test_sr_18_over_any_changes_of_rate_the_total_is_what_was_owed_rounded_down(
    blocks: list[tuple[int, int]], carry: int, ahead_ms: int
) -> None:
    bench = Bench()
    bench.turn(PLENTY)
    start_ns = 10 * MS
    bench.at(5 * MS)
    owed_uu = Fraction(carry, STEP)
    for number, (steps_per_s, length_ms) in enumerate(blocks, 1):
        until_ns = start_ns + length_ms * MS
        record = programme(
            number,
            steps_per_s,
            start_ns,
            until_ns=until_ns,
            carry=carry if number == 1 else 0,
            follows=number - 1,
        )
        if number > 1:  # each comes a millisecond before the one before it ends, or after
            bench.run_until(start_ns - ahead_ms * MS)
        bench.turn(record)
        owed_uu += Fraction(steps_per_s * length_ms, 1_000)
        start_ns = until_ns
    bench.run_until(start_ns + 500 * MS)
    assert set(bench.reasons().values()) == {End.DONE}
    assert bench.steps == int(owed_uu)
    last = bench.ended(len(blocks))
    left = Fraction(whole(last.carry_high, last.carry_low), STEP)
    assert bench.steps + left == owed_uu
    assert sum(bench.ended(number).slips for number in range(1, len(blocks) + 1)) == 0


def test_a_carry_that_is_given_to_a_running_programme_brings_its_next_step_forward() -> None:
    bench = running(1)
    bench.run_until(300 * MS)
    bench.at(300 * MS, Carry(1, *halves(STEP // 2)))
    bench.run_until(3 * S)
    assert bench.axis.edges == [500 * MS, 1_500 * MS, 2_500 * MS]
    assert bench.total(1).slips == 0


def test_a_carry_that_makes_a_step_owed_at_once_is_no_lateness() -> None:
    bench = running(1)
    bench.run_until(800 * MS)
    bench.at(800 * MS, Carry(1, *halves(STEP // 2)))
    bench.run_until(3 * S)
    assert bench.axis.edges == [800 * MS, 1_500 * MS, 2_500 * MS]
    assert (bench.total(1).slips, bench.total(1).shift_ns) == (0, 0)


def test_sr_18_a_carry_of_several_steps_goes_out_at_the_motors_pace_and_none_is_lost() -> None:
    bench = running(1)
    bench.run_until(250 * MS)
    bench.at(250 * MS, Carry(1, *halves(STEP * 7 // 2)))
    bench.run_until(3 * S)
    assert bench.axis.edges[:3] == [250 * MS, 252 * MS, 254 * MS]
    assert bench.axis.edges[3:] == [500 * MS, 1_500 * MS, 2_500 * MS]
    assert (bench.total(1).slips, bench.total(1).shift_ns) == (0, 0)


def test_sr_23_a_carry_in_the_mail_does_not_hide_that_the_loop_was_late() -> None:
    bench = running(1)
    bench.run_until(S)
    bench.at(S + 300 * MS, bench.fresh(), Carry(1, *halves(STEP // 2)))
    assert bench.reasons() == {1: End.LATE}
    assert bench.steps == 0


def test_a_carry_in_a_stall_does_not_make_the_stall_up() -> None:
    bench = Bench()
    bench.turn(programme(1, 10))
    bench.run_until(4 * S)
    bench.at(4 * S, bench.fresh(), Carry(1, *halves(STEP // 2)))
    bench.turn(PLENTY)
    bench.run_until(5 * S)
    assert bench.steps <= 11
    assert min(b - a for a, b in pairwise(bench.axis.edges)) >= 50 * MS


def test_a_carry_for_one_that_is_over_goes_to_the_one_that_follows() -> None:
    bench = running(10, until_ns=S)
    bench.turn(programme(2, 1, S, follows=1))
    bench.run_until(S + 100 * MS)
    bench.at(S + 100 * MS, bench.fresh(), Carry(1, *halves(STEP // 2)))
    bench.run_until(3 * S)
    assert bench.axis.edges[10:] == [S + 500 * MS, 2 * S + 500 * MS]


def test_a_negative_carry_puts_the_first_step_back() -> None:
    bench = running(10, carry=-STEP)
    bench.run_until(S)
    assert bench.axis.edges[0] == 200 * MS


def test_sr_18_carries_given_at_any_time_are_never_lost_and_never_a_burst() -> None:
    bench = running(5)
    given_steps = Fraction(0)
    for at_ms in range(137, 10_000, 611):
        bench.run_until(at_ms * MS)
        bench.turn(Carry(1, *halves(STEP * (at_ms % 19) // 20)))
        given_steps += Fraction(STEP * (at_ms % 19) // 20, STEP)
    bench.run_until(12 * S + MS)
    bench.turn(Stop(0))
    assert bench.ended(1).slips == 0
    assert bench.ended(1).issued_steps == int(given_steps + 5 * 12)


# ------------------------------------------------------------------ levels and pins


def test_sr_28_the_end_stop_blocks_the_next_forward_step() -> None:
    bench = running(10)
    bench.run_until(295 * MS)
    assert bench.steps == 2
    bench.end_stop.active = True
    bench.at(300 * MS, bench.fresh())
    assert bench.steps == 2
    assert bench.reasons() == {1: End.END_STOP}
    assert bench.progress().end_stop == 1


def test_sr_28_the_end_stop_is_seen_between_steps_at_the_next_beat() -> None:
    bench = running(1)
    bench.run_until(2 * S + 500 * MS)
    bench.end_stop.active = True
    bench.run_until(2 * S + 511 * MS)
    assert bench.reasons() == {1: End.END_STOP}
    assert bench.beats[-1].want_enable == 0


def rewinding(steps: int, *, at_an_end: bool) -> Bench:
    bench = Bench()
    bench.end_stop.active = at_an_end
    bench.turn(lease(1, steps, Motion.REWIND), programme(1, 10, steps=steps, motion=Motion.REWIND))
    return bench


def test_sr_28_a_rewind_leaves_the_end_stop_it_begins_on_and_ends_at_the_next() -> None:
    bench = rewinding(200, at_an_end=True)
    bench.run_until(300 * MS)
    assert bench.steps == 2
    bench.end_stop.active = False
    bench.run_until(2 * S)
    bench.end_stop.active = True
    before = bench.steps
    bench.run_until(4 * S)
    assert bench.steps == before
    assert bench.reasons() == {1: End.DONE}


def test_f57_a_rewind_pushes_no_further_than_a_fiftieth_of_its_way_into_an_end_stop() -> None:
    bench = rewinding(200, at_an_end=True)
    bench.run_until(10 * S)
    assert bench.steps == 4
    assert bench.reasons() == {1: End.DONE}


@pytest.mark.parametrize(("motion", "steps"), [(Motion.PRIME, 4), (Motion.DOSE, 0)])
def test_sr_28_after_a_rewind_a_prime_may_leave_the_end_stop_and_a_dose_may_not(
    motion: Motion, steps: int
) -> None:
    bench = rewinding(200, at_an_end=False)
    bench.run_until(300 * MS)
    bench.end_stop.active = True
    bench.run_until(1 * S)
    before = bench.steps
    bench.at(1 * S, Stop(0))
    bench.at(
        1 * S, lease(2, 100, motion, stops=1), programme(2, 10, steps=100, motion=motion, stops=1)
    )
    bench.run_until(12 * S)
    assert abs(bench.steps - before) == steps
    assert bench.reasons()[2] == End.END_STOP


@pytest.mark.parametrize("motion", list(Motion))
def test_sr_61_a_driver_in_fault_stops_before_the_next_edge_whatever_moves(motion: Motion) -> None:
    bench = Bench()
    bench.turn(lease(1, 20, motion), programme(1, 10, motion=motion))
    bench.run_until(300 * MS)
    assert bench.steps == 2
    bench.driver_fault.active = True
    bench.at(300 * MS, bench.fresh())
    assert bench.steps == 2
    assert bench.reasons() == {1: End.DRIVER_FAULT}


def test_f60_a_driver_in_fault_is_seen_between_steps_at_the_next_beat() -> None:
    bench = running(1)
    bench.run_until(500 * MS)
    bench.driver_fault.active = True
    bench.run_until(511 * MS)
    assert bench.reasons() == {1: End.DRIVER_FAULT}
    assert bench.steps == 0


def test_f61_a_pin_that_fails_in_a_step_counts_its_edge_as_issued() -> None:
    bench = running(10)
    bench.axis.fails_at, bench.axis.failure = 2, PinFault("gone")
    bench.run_until(S)
    assert bench.steps == 2
    assert bench.reasons() == {1: End.PIN_FAULT}
    assert bench.ended(1).issued_steps == 3  # whether it went out is the guard's to say
    assert bench.progress().issued_steps == 3


@pytest.mark.parametrize("issued", [0, 1])
def test_f61_an_axis_that_faults_says_how_much_went_out(issued: int) -> None:
    bench = running(10)
    bench.axis.fails_at, bench.axis.failure = 2, ActuatorFault("stays high", issued)
    bench.run_until(S)
    assert bench.reasons() == {1: End.PIN_FAULT}
    assert bench.ended(1).issued_steps == 2 + issued


@pytest.mark.parametrize("which", ["end_stop", "driver_fault", "direction"])
def test_f61_a_pin_that_fails_before_the_edge_costs_no_step(which: str) -> None:
    bench = Bench()
    bench.turn(lease(1, 9, Motion.REWIND), programme(1, 10, motion=Motion.REWIND))
    bench.run_until(95 * MS)
    if which == "direction":
        bench.axis.dir_failure = PinFault("gone")
    else:
        getattr(bench, which).failure = PinFault("gone")
    bench.at(96 * MS)
    bench.at(100 * MS)
    assert bench.reasons() == {1: End.PIN_FAULT}
    assert bench.ended(1).issued_steps == bench.progress().issued_steps == bench.steps == 0


def test_f61_a_line_that_cannot_be_read_between_steps_ends_the_dose() -> None:
    bench = running(1)
    bench.run_until(500 * MS)
    bench.driver_fault.failure = PinFault("gone")
    bench.run_until(511 * MS)
    assert bench.reasons() == {1: End.PIN_FAULT}
    assert bench.progress().driver_fault == 1  # what cannot be read is told as bad


# ------------------------------------------------------------------ faults latch


@pytest.mark.parametrize("reason", [End.LATE, End.DRIVER_FAULT, End.STALLED])
def test_sr_22_a_fault_ends_everything_and_nothing_starts_again_in_this_run(reason: End) -> None:
    bench = running(1, until_ns=100 * S)
    bench.turn(programme(2, 1), programme(3, 1, 100 * S, follows=1))
    bench.run_until(S)
    if reason is End.LATE:
        bench.at(S + 300 * MS, bench.fresh())
    elif reason is End.DRIVER_FAULT:
        bench.driver_fault.active = True
        bench.at(S, bench.fresh())
        bench.driver_fault.active = False
    else:
        bench.guard_says = 0
        bench.at(S - 1, Enable(0, bench.beats[-1].wish))
        reason = End.DISABLED
    assert bench.reasons() == {1: reason, 2: reason, 3: reason}
    bench.guard_says = None
    steps = bench.steps
    bench.turn(lease(9, 50), programme(9, 10, bench.now_ns))
    bench.turn(Stop(0))
    bench.turn(lease(10, 50, stops=1), programme(10, 10, bench.now_ns, stops=1))
    bench.run_until(bench.now_ns + 3 * S)
    assert bench.steps == steps
    assert bench.ended(9).reason == bench.ended(10).reason == reason
    assert bench.axis.budget == 0
    assert bench.beats[-1].want_enable == 0


def test_f05_a_lost_wire_ends_everything_and_is_told() -> None:
    bench = running(10)
    bench.turn(programme(2, 5))
    bench.run_until(S)
    steps = bench.steps
    last = bench.stepper.lost(S)
    assert {r.number: r.reason for r in last if isinstance(r, Ended)} == {
        1: End.WIRE_LOST,
        2: End.WIRE_LOST,
    }
    assert isinstance(last[-1], Progress)
    assert last[-1].issued_steps == steps
    assert bench.axis.budget == 0
    bench.run_until(3 * S)
    assert bench.steps == steps


# ------------------------------------------------------------------ test edges


def test_sr_57_test_edges_go_out_at_rest_and_with_enable_off() -> None:
    bench = Bench()
    bench.turn(Edges(5))
    bench.run_until(S)
    assert bench.steps == 5
    assert bench.progress().test_edges == 5
    assert bench.progress().issued_steps == 0
    assert not any(beat.want_enable or beat.armed for beat in bench.beats)
    assert bench.axis.budget == 0
    assert min(b - a for a, b in pairwise(bench.axis.edges)) == MIN_INTERVAL_MS * MS


def test_sr_57_the_lateness_of_the_test_edges_is_told_when_the_last_is_out() -> None:
    bench = Bench()
    bench.turn(Edges(3))
    bench.run_until(S)
    assert bench.total(0) == ProgrammeTotal(0, 3, 0, 0, 0)
    bench.turn(Edges(3))
    for late_ms in (0, 4, 1):
        bench.at(max(bench.now_ns, bench.axis.edges[-1] + MIN_INTERVAL_MS * MS) + late_ms * MS)
    assert bench.progress().test_edges == 6
    assert bench.total(0).issued_steps == 6
    assert bench.total(0).worst_ns >= 4 * MS


def test_sr_57_no_test_edge_goes_out_while_a_programme_runs() -> None:
    bench = running(1)
    bench.turn(Edges(5))
    bench.run_until(900 * MS)
    assert bench.steps == 0
    assert bench.progress().test_edges == 0
    assert bench.axis.budget == PLENTY.steps


def test_sr_57_no_test_edge_goes_out_before_enable_is_off() -> None:
    bench = running(10, steps=2)
    bench.run_until(201 * MS)
    assert bench.reasons() == {1: End.DONE}
    bench.turn(Edges(3))
    assert bench.beats[-1].want_enable == 1
    bench.run_until(300 * MS)
    assert bench.progress().test_edges == 0
    bench.run_until(S)
    assert bench.progress().test_edges == 3
    off_ns = next(b.at_ns for b in bench.beats if b.at_ns > 200 * MS and not b.want_enable)
    assert min(bench.axis.edges[2:]) >= off_ns + bench.answer_ns  # when the guard has said so


def test_sr_16_test_edges_asked_for_twice_leave_no_budget_behind() -> None:
    bench = Bench()
    bench.turn(Edges(5))
    bench.turn(Edges(4))
    bench.run_until(S)
    assert bench.progress().test_edges == bench.steps == 9
    assert bench.axis.budget == 0


def test_a_programme_that_comes_in_the_middle_of_test_edges_is_delivered_after_them() -> None:
    bench = Bench()
    bench.turn(Edges(5))
    bench.turn(PLENTY, programme(1, 10, steps=4))
    bench.run_until(3 * S)
    assert bench.progress().test_edges == 5
    assert bench.reasons() == {1: End.DONE}
    assert bench.progress().issued_steps == 4
    on_ns = next(b.at_ns for b in bench.beats if b.want_enable)
    assert len([edge for edge in bench.axis.edges if edge <= on_ns]) == 5


def test_a_stop_ends_test_edges_too() -> None:
    bench = Bench()
    bench.turn(Edges(50))
    bench.run_until(20 * MS)
    bench.turn(Stop(0))
    steps = bench.steps
    bench.run_until(S)
    assert bench.steps == steps < 50
    assert bench.axis.budget == 0


def test_f61_a_pin_that_fails_in_a_test_edge_is_a_fault() -> None:
    bench = Bench()
    bench.axis.fails_at, bench.axis.failure = 2, PinFault("gone")
    bench.turn(Edges(5))
    bench.run_until(S)
    assert bench.progress().test_edges == 2
    bench.turn(PLENTY, programme(1, 10, S))
    assert bench.reasons() == {1: End.PIN_FAULT}


# ------------------------------------------------------------------ reports and wakes


def test_totals_are_cumulative_over_all_programmes_of_a_run() -> None:
    bench = Bench()
    start_ns = 0
    for number, steps in ((1, 3), (2, 5), (3, 2)):
        bench.turn(lease(number, steps), programme(number, 10, start_ns, steps=steps))
        start_ns += 2 * S
        bench.run_until(start_ns)
    assert bench.progress().issued_steps == 10
    assert [bench.ended(number).run_issued_steps for number in (1, 2, 3)] == [3, 8, 10]
    totals = [r for r in bench.said if isinstance(r, Progress)]
    for name in ("issued_steps", "turns", "stops", "test_edges", "at_ns"):
        told = [getattr(r, name) for r in totals]
        assert told == sorted(told)
    assert {r.run for r in totals} == {1}


def test_pumpd_hears_ten_times_a_second_at_rest_and_twice_as_often_in_a_dose() -> None:
    bench = Bench()
    bench.run_until(S)
    assert len([r for r in bench.said if isinstance(r, Progress)]) == 10
    bench.said.clear()
    bench.turn(PLENTY, programme(1, 1, S))
    bench.run_until(2 * S)
    assert len([r for r in bench.said if isinstance(r, Progress)]) >= 20


def test_mail_for_others_changes_nothing() -> None:
    bench = running(10)
    bench.turn(Hello(1, 1, 0), Bye(), Stop(99), Carry(99, 0, 5), Enable(0, 77))
    bench.run_until(S)
    assert bench.reasons() == {}
    assert bench.steps == 9


KINDS = ["lease", "programme", "stop", "carry", "test", "one", "answer"]


@settings(max_examples=2 * settings.default.max_examples)
@given(st.data())
def test_the_loop_never_turns_on_the_spot_and_never_over_its_leases(data: st.DataObject) -> None:
    """Any mail in any order: every wake is later than the turn, and no rule is ever broken."""
    bench = Bench(hold=data.draw(st.booleans()), quantum=data.draw(st.sampled_from([1, 4])))
    quantum = bench.stepper._ratio.quantum
    leased, stops = 0, 0
    for number in range(1, data.draw(st.integers(1, 12)) + 1):
        match data.draw(st.sampled_from(KINDS)):
            case "lease":
                steps = data.draw(st.integers(1, 8)) * quantum
                leased += steps
                bench.turn(lease(number, steps, stops=stops))
            case "programme":
                length_ns = data.draw(st.integers(0, 2 * S))
                follows = data.draw(st.integers(0, number))
                bench.turn(
                    programme(
                        number,
                        data.draw(st.sampled_from([0, 1, 10, 60, 700])),
                        bench.now_ns,
                        until_ns=data.draw(st.sampled_from([NO_LIMIT, bench.now_ns + length_ns])),
                        steps=data.draw(st.sampled_from([NO_LIMIT, 4 * quantum])),
                        follows=follows if follows != number else 0,
                        stops=data.draw(st.sampled_from([stops, max(0, stops - 1)])),
                    )
                )
            case "stop":
                bench.turn(Stop(0))
                bench.run_until(bench.now_ns + 100 * MS)
                stops += 1
                assert bench.progress().stops == stops
            case "one":
                bench.turn(Stop(data.draw(st.integers(1, number))))
            case "carry":
                carry = data.draw(st.integers(0, 3 * STEP))
                bench.turn(Carry(data.draw(st.integers(1, number)), *halves(carry)))
            case "test":
                edges = data.draw(st.integers(1, 5))
                leased += edges
                bench.turn(Edges(edges))
            case _:
                bench.turn(Enable(data.draw(st.integers(0, 1)), data.draw(st.integers(0, 6))))
        span_ns = data.draw(st.integers(0, 700)) * MS
        bench.run_until(bench.now_ns + span_ns, late=lambda: 0)
        assert bench.steps <= leased
        told = bench.progress()
        assert told.issued_steps + told.test_edges <= bench.steps
    # Whoever is told to have ended is told once, and never again.
    ends = [r.number for r in bench.said if isinstance(r, Ended)]
    assert len(ends) == len(set(ends))


def test_the_times_of_the_loop_grow_with_the_demos_speed() -> None:
    one, sixty = Timing.at(1, 2_000), Timing.at(60, 2_000)
    assert (one.beat_ns, one.absorbed_ns, one.slip_fault_ns) == (10 * MS, 50 * MS, 200 * MS)
    assert (one.stall_ns, one.slip_window_ns, one.answer_ns) == (5 * S, 60 * S, 200 * MS)
    assert one.min_interval_ns == 2 * MS
    for name in Timing.__slots__:
        assert getattr(sixty, name) == 60 * getattr(one, name)


def latest(records: Sequence[Record], kind: type[Record]) -> Record:
    return [one for one in records if isinstance(one, kind)][-1]


def test_the_axis_may_need_a_little_longer_than_the_loop_thinks() -> None:
    """An edge goes out a little after its turn began, so the axis is ready a little later."""
    bench = running(2_000, steps=20)
    true_wait = bench.axis.wait_ns
    bench.axis.min_interval_ns += 300_000
    bench.run_until(S)
    assert bench.steps == 20
    assert {b - a for a, b in pairwise(bench.axis.edges)} <= {2_300_000, 2_000_000}
    assert true_wait() == 0
    assert latest(bench.said, Progress) == bench.progress()
