"""The second channel: what it counts, what it trips on, and how long that takes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.guard import core, signals
from appliance.guard.core import Budgets, Guard, Memory, Outputs, PinReading, Timing
from appliance.records import (
    Alive,
    Beat,
    Button,
    Bye,
    Carry,
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
    Programme,
    Rearm,
    Record,
    Role,
    Signal,
    SignalCheck,
    Stop,
    Trip,
    Tripped,
)
from appliance.records import TestEdges as Edges  # a name that pytest does not collect

MS = 1_000_000
S = 1_000 * MS
HOUR = 3_600 * S
BUDGETS = Budgets(dose_steps=50_000, prime_steps=30_000, rewind_steps=160_000)
RUN = 7


class Bench:
    """A guard with its pins, a stepper that beats and a pumpd that is alive, on one clock."""

    def __init__(
        self,
        *,
        memory: Memory | None = None,
        budgets: Budgets = BUDGETS,
        readback: bool = True,
        one_shot: bool = True,
        up: bool = True,
    ) -> None:
        self.now_ns = S
        self.guard = Guard(
            timing=Timing.at(1),
            budgets=budgets,
            memory=memory,
            readback=readback,
            one_shot=one_shot,
            pid=99,
        )
        self.edges = 0
        self.button = self.lost = False
        self.feedback: bool | None = None  # None: ENABLE as the guard sets it
        self.outputs = Outputs(*(False,) * 6)
        self.trace: list[tuple[int, Outputs]] = []
        self.to_pumpd: list[Record] = []
        self.to_stepper: list[Record] = []
        self.saved: list[Memory] = []
        self.wake_ns = self.now_ns
        self.run = RUN
        self.beats = self.alive = False
        self.beat_ms = 10
        self.next_beat_ns = self.next_alive_ns = self.now_ns
        self.issued = self.wish = self.lease_number = 0
        self.want = False
        self.turns = 0
        self.mail: list[tuple[Role, Record]] = []
        self.delay_ns = 0
        self.on_the_way: list[tuple[int, Record]] = []
        if up:
            self.rise()

    def rise(self, *, acknowledged: int = 1) -> None:
        """Connect pumpd, begin a run, connect the stepper."""
        self.guard.joined(self.now_ns, Role.PUMPD, Hello(Role.PUMPD, 0, 0))
        self.alive, self.next_alive_ns = True, self.now_ns
        self.pumpd(Rearm(self.run, acknowledged))
        self.guard.joined(self.now_ns, Role.STEPPER, Hello(Role.STEPPER, self.run, 0))
        self.beats, self.next_beat_ns = True, self.now_ns
        self.issued = self.wish = 0
        self.want = False
        self.run_for(50 * MS)

    def arm(self, steps: int = 1_000_000, motion: Motion = Motion.DOSE) -> None:
        """Announce a lease and have the stepper wish for ENABLE; it is on when this returns."""
        self.lease(steps, motion)
        self.wish_for(on=True)
        self.run_for(60 * MS)

    def lease(self, steps: int, motion: Motion = Motion.DOSE) -> None:
        self.lease_number += 1
        back = motion is Motion.REWIND
        direction = Direction.REVERSE if back else Direction.FORWARD
        self.pumpd(Lease(self.lease_number, int(motion), int(direction), steps, 0))

    def wish_for(self, *, on: bool) -> None:
        self.want, self.wish = on, self.wish + 1
        self.next_beat_ns = self.now_ns

    def pumpd(self, *records: Record) -> None:
        self.mail += [(Role.PUMPD, record) for record in records]
        self.turn()

    def stepper(self, *records: Record) -> None:
        self.mail += [(Role.STEPPER, record) for record in records]
        self.turn()

    def step(self, steps: int = 1, *, seen: int | None = None) -> None:
        """Have the stepper issue steps; ``seen`` of them reach the read-back."""
        self.issued += steps
        self.edges += steps if seen is None else seen

    def turn(self) -> None:
        enable_on = self.outputs.enable if self.feedback is None else self.feedback
        mail, self.mail = self.mail, []
        reading = PinReading(enable_on, self.edges, self.button, self.lost)
        result = self.guard.turn(self.now_ns, mail, reading)
        self.outputs, self.wake_ns = result.outputs, result.wake_ns
        self.trace.append((self.now_ns, result.outputs))
        self.to_pumpd += result.to_pumpd
        self.to_stepper += result.to_stepper
        if result.save is not None:
            self.saved.append(result.save)
        self.turns += 1

    def run_for(self, span_ns: int, late: Callable[[], int] = lambda: 0) -> None:
        """Let time pass: the guard wakes for its deadlines, and for mail."""
        end_ns = self.now_ns + span_ns
        while True:
            next_ns = self.wake_ns + late()
            if self.beats:
                next_ns = min(next_ns, self.next_beat_ns)
            if self.alive:
                next_ns = min(next_ns, self.next_alive_ns)
            if next_ns > end_ns:
                break
            self.now_ns = max(self.now_ns, next_ns)
            if self.beats and self.now_ns >= self.next_beat_ns:
                self.next_beat_ns = self.now_ns + self.beat_ms * MS
                self.on_the_way.append((self.now_ns + self.delay_ns, self.beat()))
            while self.on_the_way and self.on_the_way[0][0] <= self.now_ns:
                self.mail.append((Role.STEPPER, self.on_the_way.pop(0)[1]))
            if self.alive and self.now_ns >= self.next_alive_ns:
                self.next_alive_ns = self.now_ns + 100 * MS
                self.mail.append((Role.PUMPD, Alive(1)))
            self.turn()
        self.now_ns = end_ns

    def beat(self) -> Beat:
        busy = int(self.want)
        return Beat(self.run, 0, self.issued, busy, busy, self.wish, self.now_ns)

    def dose(self, span_ns: int, interval_ns: int, *, seen: int = 1) -> None:
        """Have the stepper make a step each interval, of which ``seen`` edges are read back."""
        for _ in range(span_ns // interval_ns):
            self.run_for(interval_ns)
            self.step(seen=seen)

    @property
    def trips(self) -> list[Trip]:
        return [Trip(one.trip) for one in self.to_pumpd if isinstance(one, Tripped)]

    @property
    def counted(self) -> Counted:
        self.run_for(110 * MS)
        return [one for one in self.to_pumpd if isinstance(one, Counted)][-1]

    def off_after_ns(self, since_ns: int) -> int:
        """Return how long after an instant ENABLE went off for good."""
        last = max(place for place, (_, outputs) in enumerate(self.trace) if outputs.enable)
        return self.trace[last + 1][0] - since_ns


@pytest.fixture
def armed() -> Bench:
    bench = Bench()
    bench.arm()
    assert bench.outputs.enable
    return bench


BOLUS_NS = 74 * MS  # 1.5 U/min
BASAL_NS = 6_626 * MS  # 1 U/h

# ------------------------------------------------------------------ counting


def test_edges_count_while_enable_was_seen_on_before_and_after(armed: Bench) -> None:
    armed.dose(2 * S, BOLUS_NS)
    counted = armed.counted
    assert (counted.counted_steps, counted.doubtful_steps, counted.apart_edges) == (27, 0, 0)
    assert counted.enabled == 1
    assert armed.trips == []


def test_enable_is_told_to_be_on_as_soon_as_it_was_seen_and_not_at_the_next_beat_alone() -> None:
    bench = Bench()
    bench.lease(10)
    bench.wish_for(on=True)
    bench.run_for(1 * MS)
    bench.beats = False
    bench.to_stepper.clear()
    bench.run_for(30 * MS)
    assert Enable(1, bench.wish) in bench.to_stepper


def test_edges_before_enable_is_seen_on_are_doubtful() -> None:
    bench = Bench()
    bench.lease(100)
    bench.feedback = False
    bench.wish_for(on=True)
    bench.run_for(10 * MS)
    assert bench.outputs.enable
    bench.step(1)
    bench.turn()
    bench.feedback = None
    bench.run_for(60 * MS)
    bench.step(1)
    counted = bench.counted
    assert (counted.counted_steps, counted.doubtful_steps) == (1, 1)


def test_edges_between_setting_enable_and_seeing_it_are_doubtful() -> None:
    bench = Bench()
    bench.lease(100)
    bench.wish_for(on=True)
    bench.run_for(0)
    assert bench.outputs.enable
    bench.step(2)  # by the next reading ENABLE is on: whether it was for these, nobody knows
    bench.run_for(60 * MS)
    bench.step(1)
    counted = bench.counted
    assert (counted.counted_steps, counted.doubtful_steps) == (1, 2)


def test_edges_while_enable_goes_off_are_doubtful_and_later_ones_stand_apart(armed: Bench) -> None:
    armed.dose(200 * MS, 100 * MS)
    armed.run_for(30 * MS)
    armed.wish_for(on=False)
    armed.run_for(30 * MS)
    assert not armed.outputs.enable
    armed.edges += 1
    armed.run_for(400 * MS)
    armed.edges += 1
    armed.run_for(200 * MS)
    armed.edges += 1
    counted = armed.counted
    assert (counted.counted_steps, counted.doubtful_steps, counted.apart_edges) == (2, 2, 1)
    assert counted.enabled == 0


def test_edges_under_a_feedback_that_dropped_are_doubtful(armed: Bench) -> None:
    armed.step(3)
    armed.feedback = False
    armed.turn()
    assert armed.trips == [Trip.FEEDBACK]
    armed.feedback = None
    counted = armed.counted
    assert (counted.counted_steps, counted.doubtful_steps) == (0, 3)


def test_edges_at_rest_stand_apart() -> None:
    bench = Bench()
    bench.run_for(S)
    bench.pumpd(Edges(5))
    bench.edges += 5
    counted = bench.counted
    assert (counted.counted_steps, counted.doubtful_steps, counted.apart_edges) == (0, 0, 5)
    bench.run_for(5 * S)
    assert bench.trips == []


def test_the_edges_of_before_the_guard_began_are_nobodys() -> None:
    bench = Bench(up=False)
    bench.edges = 12_345
    bench.rise()
    counted = bench.counted
    assert (counted.counted_steps, counted.doubtful_steps, counted.apart_edges) == (0, 0, 0)


def test_a_new_run_counts_from_nothing_and_the_lifetime_goes_on(armed: Bench) -> None:
    armed.dose(S, 100 * MS)
    armed.wish_for(on=False)
    armed.run_for(S)
    armed.run, armed.lease_number = RUN + 1, 0
    armed.rise()
    armed.arm()
    armed.dose(500 * MS, 100 * MS)
    counted = armed.counted
    assert (counted.run, counted.counted_steps) == (RUN + 1, 5)
    assert armed.saved[-1].lifetime_steps == 10  # as saved at the last lease
    hello = armed.guard.greeting()[0]
    assert isinstance(hello, GuardHello)
    assert (hello.counted_steps, hello.lifetime_steps, hello.since_start) == (5, 15, 1)


def test_counts_are_told_when_they_change_and_ten_times_a_second(armed: Bench) -> None:
    armed.run_for(100 * MS)
    armed.to_pumpd.clear()
    armed.run_for(S)
    assert 10 <= len([one for one in armed.to_pumpd if isinstance(one, Counted)]) <= 11
    armed.to_pumpd.clear()
    armed.step()
    armed.turn()
    assert [one.counted_steps for one in armed.to_pumpd if isinstance(one, Counted)] == [1]


def test_with_no_read_back_the_guard_judges_no_counts_and_all_else() -> None:
    bench = Bench(readback=False)
    bench.arm()
    bench.dose(5 * S, BOLUS_NS, seen=0)
    assert bench.trips == []
    bench.beats = False
    bench.run_for(300 * MS)
    assert bench.trips == [Trip.SILENCE]


# ------------------------------------------------------------------ leases


def test_sr_35_a_lease_is_taken_and_said_so() -> None:
    bench = Bench()
    bench.lease(27)
    bench.lease(27)
    taken = [one.number for one in bench.to_pumpd if isinstance(one, LeaseTaken)]
    assert taken == [1, 2]
    assert bench.trips == []


@pytest.mark.parametrize("number", [0, -1, 4, 5])
def test_sr_35_a_lease_is_taken_once(number: int) -> None:
    bench = Bench()
    bench.lease_number = 4
    bench.lease(27)
    bench.pumpd(Lease(number, 1, 1, 27, 0))
    assert bench.trips == [Trip.BAD_RECORD]
    assert len([one for one in bench.to_pumpd if isinstance(one, LeaseTaken)]) == 1


def test_sr_35_a_fourth_open_lease_is_one_that_no_honest_pump_announces() -> None:
    bench = Bench()
    for _ in range(3):
        bench.lease(27)
    assert bench.trips == []
    bench.lease(27)
    assert bench.trips == [Trip.BAD_RECORD]


@pytest.mark.parametrize("steps", [0, -1, -(2**62)])
def test_a_lease_of_nothing_or_less_is_a_bad_record(steps: int) -> None:
    bench = Bench()
    bench.lease(steps)
    assert bench.trips == [Trip.BAD_RECORD]


@pytest.mark.parametrize(
    ("motion", "direction", "trip"),
    [
        (Motion.DOSE, Direction.REVERSE, Trip.REVERSE),
        (Motion.PRIME, Direction.REVERSE, Trip.REVERSE),
        (Motion.REWIND, Direction.FORWARD, Trip.REVERSE),
        (Motion.DOSE, 0, Trip.BAD_RECORD),
        (Motion.REWIND, 5, Trip.BAD_RECORD),
        (0, Direction.FORWARD, Trip.BAD_RECORD),
        (9, Direction.FORWARD, Trip.BAD_RECORD),
        (9, Direction.REVERSE, Trip.BAD_RECORD),
        (Motion.DOSE, Direction.FORWARD, None),
        (Motion.PRIME, Direction.FORWARD, None),
        (Motion.REWIND, Direction.REVERSE, None),
    ],
)
def test_sr_33_only_a_rewind_goes_back_and_only_known_motions_have_leases(
    motion: int, direction: int, trip: Trip | None
) -> None:
    bench = Bench()
    bench.pumpd(Lease(1, int(motion), int(direction), 27, 0))
    assert bench.trips == ([] if trip is None else [trip])
    taken = [one for one in bench.to_pumpd if isinstance(one, LeaseTaken)]
    assert bool(taken) == (trip is None)


def test_sr_35_edges_that_no_lease_covers_trip_at_two(armed: Bench) -> None:
    bench = Bench()
    bench.arm(steps=10)
    bench.dose(1_100 * MS, 100 * MS)
    bench.run_for(5 * S)
    assert bench.counted.counted_steps == 11
    assert bench.trips == []  # off by one is never a trip
    since_ns = bench.now_ns
    bench.step()
    bench.run_for(100 * MS)
    assert bench.trips == [Trip.UNLEASED_EDGES]
    assert bench.off_after_ns(since_ns) <= 25 * MS


def test_sr_35_closed_leases_allow_nothing_any_more(armed: Bench) -> None:
    armed.dose(S, 100 * MS)
    armed.pumpd(LeasesClosed(RUN, armed.issued))
    armed.run_for(100 * MS)
    assert armed.trips == []
    armed.step(2)
    armed.run_for(100 * MS)
    assert armed.trips == [Trip.UNLEASED_EDGES]


def test_f06_leases_closed_with_a_lie_raise_no_allowance() -> None:
    bench = Bench()
    bench.arm(steps=10)
    bench.pumpd(LeasesClosed(RUN, 1_000_000))
    bench.dose(1_500 * MS, 100 * MS)
    assert bench.trips == [Trip.UNLEASED_EDGES]


def test_leases_of_another_run_are_not_closed(armed: Bench) -> None:
    armed.pumpd(LeasesClosed(RUN - 1, 0))
    armed.dose(S, 100 * MS)
    assert armed.trips == []


# ------------------------------------------------------------------ edges extra and missing


@pytest.mark.parametrize("interval_ns", [BOLUS_NS, BASAL_NS], ids=["bolus", "basal"])
def test_sr_24_two_extra_edges_trip_within_250_ms_and_one_never_does(interval_ns: int) -> None:
    bench = Bench()
    bench.arm()
    bench.dose(4 * interval_ns, interval_ns)
    bench.edges += 1
    bench.dose(4 * interval_ns, interval_ns)
    bench.run_for(2 * S)
    assert bench.trips == []
    bench.edges += 1
    since_ns = bench.now_ns
    bench.run_for(S)
    assert bench.trips == [Trip.EXTRA_EDGES]
    assert 100 * MS <= bench.off_after_ns(since_ns) <= 250 * MS


def test_sr_24_extra_edges_that_were_only_early_are_no_trip(armed: Bench) -> None:
    """The count may be ahead of a beat for a moment: the next beat makes it good."""
    for _ in range(20):
        armed.edges += 2
        armed.run_for(90 * MS)
        armed.issued += 2
        armed.run_for(60 * MS)
    assert armed.trips == []


def test_sr_24_beats_that_are_on_their_way_for_a_while_show_no_extra_edges(armed: Bench) -> None:
    armed.delay_ns = 60 * MS
    armed.dose(3 * S, 10 * MS)
    assert armed.trips == []
    armed.edges += 2
    since_ns = armed.now_ns
    armed.run_for(S)
    assert armed.trips == [Trip.EXTRA_EDGES]
    assert armed.off_after_ns(since_ns) <= 250 * MS


@pytest.mark.parametrize("interval_ns", [BOLUS_NS, BASAL_NS], ids=["bolus", "basal"])
def test_sr_25_two_missing_edges_trip_after_a_second(interval_ns: int) -> None:
    bench = Bench()
    bench.arm()
    bench.dose(4 * interval_ns, interval_ns)
    bench.step(seen=0)
    bench.dose(4 * interval_ns, interval_ns)
    bench.run_for(3 * S)
    assert bench.trips == []  # off by one never
    bench.step(seen=0)
    since_ns = bench.now_ns
    bench.run_for(2 * S)
    assert bench.trips == [Trip.MISSING_EDGES]
    assert S <= bench.off_after_ns(since_ns) <= S + 50 * MS


@pytest.mark.parametrize("interval_ns", [BOLUS_NS, BASAL_NS], ids=["bolus", "basal"])
def test_f53_a_stuck_step_line_is_found_at_its_second_edge(interval_ns: int) -> None:
    bench = Bench()
    bench.arm()
    bench.dose(2 * interval_ns, interval_ns)
    first_ns = bench.now_ns + interval_ns
    bench.dose(3 * interval_ns + 2 * S, interval_ns, seen=0)
    assert bench.trips == [Trip.MISSING_EDGES]
    # The second edge is an interval after the first; then it is a second of being sure.
    assert bench.off_after_ns(first_ns) <= interval_ns + S + 100 * MS


def test_f54_every_tenth_edge_missing_trips_at_the_second(armed: Bench) -> None:
    for step in range(1, 40):
        armed.run_for(BOLUS_NS)
        armed.step(seen=0 if step % 10 == 0 else 1)
        if armed.trips:
            break
    assert armed.trips == [Trip.MISSING_EDGES]
    assert armed.issued <= 20 + 15


def test_sr_25_edges_that_come_a_little_later_are_not_missing(armed: Bench) -> None:
    for _ in range(10):
        armed.step(5, seen=0)
        armed.run_for(900 * MS)
        armed.edges += 5
        armed.run_for(200 * MS)
    assert armed.trips == []


def test_sr_25_doubtful_edges_are_not_missing(armed: Bench) -> None:
    armed.wish_for(on=False)
    armed.run_for(20 * MS)
    armed.step(2)
    armed.run_for(3 * S)
    assert armed.trips == []


def test_f55_edges_at_rest_that_nobody_announced_trip(armed: Bench) -> None:
    bench = Bench()
    bench.run_for(S)
    bench.edges += 1
    bench.run_for(2 * S)
    assert bench.trips == []
    bench.edges += 1
    bench.run_for(200 * MS)
    assert bench.trips == [Trip.EXTRA_EDGES]


def test_f55_more_test_edges_than_were_announced_trip() -> None:
    bench = Bench()
    bench.run_for(S)
    bench.pumpd(Edges(5))
    bench.edges += 7
    bench.run_for(200 * MS)
    assert bench.trips == [Trip.EXTRA_EDGES]


# ------------------------------------------------------------------ budgets


@pytest.mark.parametrize("motion", list(Motion))
def test_sr_16_each_motion_has_an_hourly_budget_of_the_guards_own(motion: Motion) -> None:
    budgets = Budgets(10**6, 10**6, 10**6)
    name = f"{motion.name.lower()}_steps"
    bench = Bench(budgets=replace(budgets, **{name: 100}))
    bench.arm(motion=motion)
    bench.dose(100 * 20 * MS, 20 * MS)
    bench.run_for(100 * MS)
    assert bench.trips == []
    since_ns = bench.now_ns
    bench.step()
    bench.run_for(100 * MS)
    assert bench.trips == [Trip.BUDGET]
    assert bench.off_after_ns(since_ns) <= 25 * MS
    assert [one.detail for one in bench.to_pumpd if isinstance(one, Tripped)] == [101]


def test_sr_16_what_one_motion_spends_is_not_charged_to_another() -> None:
    bench = Bench(budgets=Budgets(100, 100, 100))
    for motion in (Motion.DOSE, Motion.PRIME, Motion.REWIND):
        bench.arm(steps=90, motion=motion)
        bench.dose(90 * 20 * MS, 20 * MS)
        bench.run_for(50 * MS)
    assert bench.trips == []


def test_sr_16_the_budget_is_a_sliding_hour() -> None:
    bench = Bench(budgets=Budgets(100, 0, 0), one_shot=False)
    bench.arm()
    bench.step(60)
    bench.run_for(S)
    bench.beats = bench.alive = False
    _skip(bench, HOUR // 2)
    bench.step(40)
    bench.run_for(S)
    assert bench.trips == []
    _skip(bench, HOUR // 2 - 5 * S)
    bench.step(1)
    bench.run_for(20 * MS)
    assert bench.trips == [Trip.BUDGET]


def test_sr_16_what_is_an_hour_old_is_spent_no_more() -> None:
    bench = Bench(budgets=Budgets(100, 0, 0), one_shot=False)
    bench.arm()
    bench.step(60)
    bench.run_for(S)
    _skip(bench, HOUR)
    bench.step(90)
    bench.run_for(S)
    assert bench.trips == []


def _skip(bench: Bench, span_ns: int) -> None:
    """Let a long time pass in strides that nobody notices: everything beats just in time."""
    for _ in range(span_ns // (10 * S)):
        bench.now_ns += 10 * S
        bench.mail += [(Role.STEPPER, bench.beat()), (Role.PUMPD, Alive(1))]
        bench.turn()
    bench.now_ns += span_ns % (10 * S)
    bench.mail += [(Role.STEPPER, bench.beat()), (Role.PUMPD, Alive(1))]
    bench.turn()
    bench.beats = bench.alive = True
    bench.next_beat_ns = bench.next_alive_ns = bench.now_ns


def test_sr_16_a_new_run_does_not_give_the_budget_back() -> None:
    bench = Bench(budgets=Budgets(100, 100, 100))
    bench.arm()
    bench.step(90)
    bench.run_for(S)
    bench.run, bench.lease_number = RUN + 1, 0
    bench.rise()
    bench.arm()
    bench.step(20)
    bench.run_for(100 * MS)
    assert bench.trips == [Trip.BUDGET]


def test_sr_16_doubtful_edges_are_spent_too() -> None:
    bench = Bench(budgets=Budgets(100, 100, 100))
    bench.arm()
    bench.step(99)
    bench.run_for(30 * MS)
    bench.wish_for(on=False)
    bench.run_for(20 * MS)
    bench.edges += 2
    bench.run_for(30 * MS)
    assert bench.trips == [Trip.BUDGET]


def test_sr_16_the_budget_of_a_motion_that_does_not_exist_is_nothing() -> None:
    assert BUDGETS.of(9) == BUDGETS.of(0) == 0
    assert [BUDGETS.of(int(motion)) for motion in Motion] == [50_000, 30_000, 160_000]


# ------------------------------------------------------------------ silence


@pytest.mark.parametrize("phase_ms", range(0, 25, 3))
def test_sr_58_a_silent_stepper_loses_enable_within_250_ms(phase_ms: int) -> None:
    bench = Bench()
    bench.arm()
    bench.run_for(phase_ms * MS)
    bench.beats = False
    last_ns = bench.next_beat_ns - 10 * MS
    bench.run_for(S)
    assert bench.trips == [Trip.SILENCE]
    assert 200 * MS <= bench.off_after_ns(last_ns) <= 250 * MS


def test_sr_58_a_beat_just_in_time_is_no_silence(armed: Bench) -> None:
    armed.beat_ms = 190
    armed.run_for(10 * S)
    assert armed.trips == []


def test_sr_58_a_stepper_at_rest_may_be_silent() -> None:
    bench = Bench()
    bench.beats = False
    bench.run_for(10 * S)
    assert bench.trips == []


def test_sr_58_a_stepper_that_gave_enable_back_may_be_silent(armed: Bench) -> None:
    armed.wish_for(on=False)
    armed.run_for(50 * MS)
    armed.beats = False
    armed.run_for(5 * S)
    assert armed.trips == []


def test_sr_58_beats_of_another_run_are_no_beats(armed: Bench) -> None:
    armed.run = RUN - 1
    armed.run_for(S)
    assert armed.trips == [Trip.SILENCE]


@pytest.fixture
def ungated() -> Bench:
    """An armed bench without a one-shot: there a late guard is known by its judgement alone."""
    bench = Bench(one_shot=False)
    bench.arm()
    return bench


def test_sr_58_a_guard_that_woke_late_waits_one_more_period_before_it_judges(
    ungated: Bench,
) -> None:
    armed = ungated
    armed.run_for(5 * MS)
    armed.beats = armed.alive = False
    armed.now_ns += 300 * MS  # the whole computer stood still
    armed.turn()
    assert armed.trips == []
    armed.now_ns += 24 * MS
    armed.turn()
    assert armed.trips == []
    armed.stepper(armed.beat())  # the stepper's beat comes in that time: it was only frozen too
    armed.beats = armed.alive = True
    armed.next_beat_ns = armed.next_alive_ns = armed.now_ns
    armed.run_for(S)
    assert armed.trips == []


def test_sr_58_and_then_it_judges(ungated: Bench) -> None:
    armed = ungated
    armed.beats = False
    armed.now_ns += 300 * MS
    armed.turn()
    assert armed.trips == []
    since_ns = armed.now_ns
    armed.run_for(S)
    assert armed.trips == [Trip.SILENCE]
    assert armed.off_after_ns(since_ns) <= 50 * MS


@pytest.mark.parametrize("late_ms", [24, 25, 60])
def test_f16_a_guard_that_slept_longer_than_the_one_shot_holds_trips_itself(
    armed: Bench, late_ms: int
) -> None:
    """The feedback alone does not tell: it is on again before it is read."""
    armed.dose(S, 100 * MS)
    armed.run_for(10 * MS)  # the last step has been counted
    while not armed.outputs.enable or armed.trace[-1][1].alive == armed.trace[-2][1].alive:
        armed.run_for(MS)
    armed.now_ns = armed.trace[-1][0] + (20 + late_ms) * MS
    armed.step(3)
    armed.mail = [(Role.STEPPER, armed.beat()), (Role.PUMPD, Alive(1))]
    armed.turn()
    counted = armed.counted
    if late_ms < 25:
        assert armed.trips == []
        assert (counted.counted_steps, counted.doubtful_steps) == (13, 0)
    else:
        assert armed.trips == [Trip.FEEDBACK]
        assert (counted.counted_steps, counted.doubtful_steps) == (10, 3)


def test_f60_enable_that_was_off_for_a_moment_between_two_looks_trips(armed: Bench) -> None:
    armed.dose(S, 100 * MS)
    armed.run_for(30 * MS)
    armed.step(2)
    armed.lost = True
    since_ns = armed.now_ns
    armed.turn()
    assert armed.trips == [Trip.FEEDBACK]
    assert armed.off_after_ns(since_ns) == 0
    armed.lost = False
    counted = armed.counted
    assert (counted.counted_steps, counted.doubtful_steps) == (10, 2)


def test_f60_enable_that_was_off_before_it_was_ever_seen_on_is_no_lapse() -> None:
    bench = Bench()
    bench.lost = True
    bench.lease(27)
    bench.wish_for(on=True)
    bench.run_for(0)
    bench.turn()
    bench.lost = False
    bench.run_for(60 * MS)
    assert bench.trips == []
    assert bench.outputs.enable


def test_f09_a_guard_that_always_wakes_late_judges_all_the_same(ungated: Bench) -> None:
    armed = ungated
    armed.beats = False
    since_ns = armed.now_ns
    for _ in range(40):
        armed.now_ns = armed.wake_ns + 30 * MS
        armed.mail.append((Role.PUMPD, Alive(1)))
        armed.turn()
    assert armed.trips == [Trip.SILENCE]
    assert armed.off_after_ns(since_ns) <= 400 * MS


def test_sr_58_pumpd_without_a_sign_of_life_for_two_seconds_trips(armed: Bench) -> None:
    armed.alive = False
    last_ns = armed.next_alive_ns - 100 * MS
    armed.run_for(1_800 * MS)
    assert armed.trips == []
    armed.run_for(S)
    assert armed.trips == [Trip.ALIVE_LOST]
    assert 2 * S <= armed.off_after_ns(last_ns) <= 2 * S + 50 * MS


def test_sr_58_anything_that_pumpd_says_is_a_sign_of_life(armed: Bench) -> None:
    armed.alive = False
    for _ in range(10):
        armed.run_for(1_500 * MS)
        armed.pumpd(Signal(0, 0))
    assert armed.trips == []


def test_sr_58_a_pumpd_frozen_for_less_than_two_seconds_changes_nothing(armed: Bench) -> None:
    armed.alive = False
    armed.dose(1_800 * MS, BOLUS_NS)
    armed.alive, armed.next_alive_ns = True, armed.now_ns
    armed.dose(2 * S, BOLUS_NS)
    assert armed.trips == []
    assert armed.outputs.enable


# ------------------------------------------------------------------ wires


def test_f06_a_stepper_of_an_older_run_that_ends_late_is_no_loss_of_this_run(armed: Bench) -> None:
    armed.beats = False
    armed.pumpd(Rearm(RUN + 1, 1))
    armed.run_for(100 * MS)
    armed.guard.left(armed.now_ns, Role.STEPPER, clean=False)
    armed.run = RUN + 1
    armed.rise()
    armed.arm()
    assert armed.trips == []
    assert armed.outputs.enable


def test_an_older_stepper_has_no_enable_after_the_rearm(armed: Bench) -> None:
    armed.pumpd(Rearm(RUN + 1, 1))
    armed.run_for(100 * MS)
    assert not armed.outputs.enable


@pytest.mark.parametrize(
    ("role", "trip"), [(Role.PUMPD, Trip.PUMPD_LOST), (Role.STEPPER, Trip.STEPPER_LOST)]
)
def test_sr_30_a_wire_that_is_lost_trips_and_enable_is_off_in_the_same_turn(
    armed: Bench, role: Role, trip: Trip
) -> None:
    since_ns = armed.now_ns
    armed.guard.left(armed.now_ns, role, clean=False)
    armed.turn()
    assert armed.trips == [trip]
    assert armed.off_after_ns(since_ns) == 0


@pytest.mark.parametrize("role", [Role.PUMPD, Role.STEPPER])
def test_a_clean_end_is_no_trip_and_enable_is_off(armed: Bench, role: Role) -> None:
    armed.guard.left(armed.now_ns, role, clean=True)
    armed.turn()
    assert not armed.outputs.enable
    if role is Role.STEPPER:
        armed.beats = False
    else:
        armed.alive = False
    armed.run_for(10 * S)
    assert armed.trips == []
    assert not armed.outputs.enable


@pytest.mark.parametrize("missing", [Role.PUMPD, Role.STEPPER])
def test_sr_30_without_pumpd_or_the_stepper_enable_never_goes_on(missing: Role) -> None:
    bench = Bench()
    bench.guard.left(bench.now_ns, missing, clean=True)
    bench.lease(27)
    bench.wish_for(on=True)
    bench.run_for(S)
    assert not any(outputs.enable for _, outputs in bench.trace)


def test_a_wire_that_was_never_there_is_not_lost() -> None:
    bench = Bench(up=False)
    for role in Role:
        bench.guard.left(bench.now_ns, role, clean=False)
    bench.run_for(S)
    assert not bench.saved


def test_a_stepper_of_another_run_is_a_bad_record() -> None:
    bench = Bench(up=False)
    bench.guard.joined(bench.now_ns, Role.PUMPD, Hello(Role.PUMPD, 0, 0))
    bench.pumpd(Rearm(RUN, 1))
    bench.guard.joined(bench.now_ns, Role.STEPPER, Hello(Role.STEPPER, RUN - 1, 0))
    bench.turn()
    assert bench.trips == [Trip.BAD_RECORD]


@pytest.mark.parametrize(
    "record",
    [Stop(0), Carry(1, 0, 0), Programme(1, 1, 1, 0, 1, 1, 0, 0, 0, 0), LeaseTaken(1), Button(0)],
    ids=lambda record: type(record).__name__,
)
def test_f45_a_record_that_is_not_for_the_guard_is_a_bad_record(
    armed: Bench, record: Record
) -> None:
    armed.pumpd(record)
    assert armed.trips == [Trip.BAD_RECORD]
    assert not armed.outputs.enable


def test_the_stepper_can_order_nothing_but_its_beat(armed: Bench) -> None:
    armed.stepper(
        Lease(9, 1, 1, 10**9, 0),
        Rearm(RUN, 1),
        LeasesClosed(RUN, 0),
        Signal(3, 1),
        Head(1, 2, 3, 4, 5),
    )
    armed.run_for(S)
    assert armed.trips == []
    assert not any(isinstance(one, LeaseTaken) and one.number == 9 for one in armed.to_pumpd)


# ------------------------------------------------------------------ ENABLE and its feedback


def test_sr_29_enable_goes_on_by_the_steppers_wish_and_is_told_when_it_is_seen() -> None:
    bench = Bench()
    bench.lease(27)
    bench.wish_for(on=True)
    bench.run_for(S)
    answers = [one for one in bench.to_stepper if isinstance(one, Enable) and one.wish == 1]
    kinds = [one.on for one in answers]
    assert kinds == sorted(kinds)
    assert kinds[-1] == 1
    on_ns = next(at for at, outputs in bench.trace if outputs.enable)
    assert on_ns - bench.trace[0][0] <= 60 * MS


def test_sr_29_enable_is_not_told_in_the_turn_that_sets_it_whatever_the_feedback_says() -> None:
    bench = Bench()
    bench.lease(27)
    bench.feedback = True
    bench.wish_for(on=True)
    bench.run_for(0)
    assert bench.outputs.enable  # only now is the pin set
    assert not any(isinstance(one, Enable) and one.on for one in bench.to_stepper)
    bench.run_for(60 * MS)
    assert bench.to_stepper[-1] == Enable(1, 1)


def test_sr_29_enable_that_is_never_seen_is_never_told_and_trips() -> None:
    bench = Bench()
    bench.feedback = False
    bench.lease(27)
    bench.wish_for(on=True)
    since_ns = bench.now_ns
    bench.run_for(S)
    assert not any(isinstance(one, Enable) and one.on for one in bench.to_stepper)
    assert bench.trips == [Trip.FEEDBACK]
    assert 200 * MS <= bench.off_after_ns(since_ns) <= 250 * MS


def test_f60_enable_that_is_seen_on_though_it_is_off_trips() -> None:
    bench = Bench()
    bench.feedback = True
    bench.run_for(150 * MS)
    assert bench.trips == []
    bench.run_for(100 * MS)
    assert bench.trips == [Trip.FEEDBACK]


def test_f60_enable_that_drops_behind_the_one_shot_trips_at_once(armed: Bench) -> None:
    armed.feedback = False
    since_ns = armed.now_ns
    armed.run_for(100 * MS)
    assert armed.trips == [Trip.FEEDBACK]
    assert armed.off_after_ns(since_ns) <= 25 * MS


def test_sr_29_every_beat_is_answered_with_its_own_wish(armed: Bench) -> None:
    armed.to_stepper.clear()
    armed.run_for(S)
    answers = [one for one in armed.to_stepper if isinstance(one, Enable)]
    assert len(answers) >= 100
    assert {(one.on, one.wish) for one in answers} == {(1, 1)}


def test_sr_29_enable_is_off_when_the_wish_ends(armed: Bench) -> None:
    armed.wish_for(on=False)
    since_ns = armed.now_ns
    armed.run_for(100 * MS)
    assert armed.off_after_ns(since_ns) <= 10 * MS
    assert armed.to_stepper[-1] == Enable(0, 2)


def test_a_pin_that_fails_trips(armed: Bench) -> None:
    since_ns = armed.now_ns
    armed.guard.pin_fault(armed.now_ns)
    armed.turn()
    assert armed.trips == [Trip.PIN_FAULT]
    assert armed.off_after_ns(since_ns) == 0


def toggles_of_alive(bench: Bench, span_ns: int) -> set[int]:
    """Let time pass; return the spans between two toggles of ALIVE in it."""
    begin = len(bench.trace)
    bench.run_for(span_ns)
    levels = [(at, outputs.alive) for at, outputs in bench.trace[begin:]]
    toggles = [at for (_, before), (at, after) in pairwise(levels) if before != after]
    return {after - before for before, after in pairwise(toggles)}


def test_sr_30_the_one_shot_is_fed_at_every_beat(armed: Bench) -> None:
    assert toggles_of_alive(armed, 2 * S) == {10 * MS}


def test_sr_30_without_a_beat_the_one_shot_is_fed_within_20_ms(armed: Bench) -> None:
    armed.beats = armed.alive = False
    armed.run_for(S)
    spans_ns = toggles_of_alive(armed, 2 * S)
    assert min(spans_ns) >= 10 * MS
    assert max(spans_ns) == 20 * MS


def test_sr_30_mail_that_comes_thick_and_fast_feeds_the_one_shot_no_oftener(armed: Bench) -> None:
    armed.beat_ms = 1
    assert toggles_of_alive(armed, S) == {10 * MS}


# ------------------------------------------------------------------ the stop button


def test_the_stop_button_drops_enable_at_once_and_is_no_alarm(armed: Bench) -> None:
    armed.button = True
    since_ns = armed.now_ns
    armed.run_for(30 * MS)
    assert armed.off_after_ns(since_ns) <= 25 * MS
    assert armed.trips == []
    assert len([one for one in armed.to_pumpd if isinstance(one, Button)]) == 1
    assert not any(o.buzzer or o.lamp_high or o.lamp_medium or o.lamp_low for _, o in armed.trace)


def test_after_the_button_enable_needs_a_new_wish(armed: Bench) -> None:
    armed.button = True
    armed.run_for(30 * MS)
    armed.button = False
    armed.run_for(S)
    assert not armed.outputs.enable
    armed.wish_for(on=False)
    armed.run_for(50 * MS)
    assert not armed.outputs.enable
    armed.wish_for(on=True)
    armed.run_for(50 * MS)
    assert armed.outputs.enable


def test_while_the_button_is_pressed_no_wish_helps(armed: Bench) -> None:
    armed.button = True
    armed.run_for(30 * MS)
    for _ in range(3):
        armed.wish_for(on=True)
        armed.run_for(50 * MS)
        assert not armed.outputs.enable


def test_a_button_that_is_held_is_told_once_and_pressed_again_once_more(armed: Bench) -> None:
    for _ in range(2):
        armed.button = True
        armed.run_for(S)
        armed.button = False
        armed.run_for(S)
    assert len([one for one in armed.to_pumpd if isinstance(one, Button)]) == 2


def test_after_the_button_a_new_run_is_free_to_wish(armed: Bench) -> None:
    """The wishes of a new stepper begin anew, so the barred one of the old must be forgotten."""
    armed.button = True
    armed.run_for(30 * MS)
    armed.button = False
    armed.run_for(S)
    armed.guard.left(armed.now_ns, Role.STEPPER, clean=True)
    armed.run, armed.lease_number = RUN + 1, 0
    armed.rise()
    armed.arm()
    assert armed.wish == 1
    assert armed.outputs.enable


# ------------------------------------------------------------------ the latch

EVERY_RECORD = st.one_of(
    st.builds(Alive, st.integers(0, 9)),
    st.builds(Signal, st.integers(0, 4), st.integers(0, 1)),
    st.builds(LeasesClosed, st.just(RUN), st.integers(0, 99)),
    st.builds(Head, *(st.integers(0, 9) for _ in range(5))),
    st.builds(Edges, st.integers(0, 9)),
    st.builds(
        Lease, st.integers(0, 99), st.integers(0, 4), st.just(1), st.integers(0, 99), st.just(0)
    ),
    st.builds(Rearm, st.integers(0, 20), st.just(0)),
    st.builds(Hello, st.integers(1, 2), st.just(RUN), st.just(0)),
    st.builds(Bye),
    st.builds(Stop, st.integers(0, 9)),
)


@given(st.lists(EVERY_RECORD, max_size=10), st.integers(2, 9))
def test_a_trip_latches_and_no_message_but_an_acknowledged_rearm_clears_it(
    records: list[Record], wish: int
) -> None:
    bench = Bench()
    bench.arm()
    bench.guard.pin_fault(bench.now_ns)
    bench.turn()
    off = len(bench.trace)
    for record in records:
        bench.pumpd(record)
        bench.wish += wish
        bench.stepper(replace(bench.beat(), run=bench.run))
        bench.run_for(30 * MS)
    assert not any(outputs.enable for _, outputs in bench.trace[off:])
    assert bench.trips == [Trip.PIN_FAULT]  # the first cause stays, and is told once
    hello = bench.guard.greeting()[0]
    assert isinstance(hello, GuardHello)
    assert hello.trip == Trip.PIN_FAULT


def test_the_first_cause_stays(armed: Bench) -> None:
    armed.beats = armed.alive = False
    armed.run_for(5 * S)
    armed.guard.left(armed.now_ns, Role.PUMPD, clean=False)
    armed.guard.pin_fault(armed.now_ns)
    armed.turn()
    assert armed.trips == [Trip.SILENCE]
    assert armed.saved[-1].trip == Trip.SILENCE


def test_an_acknowledged_rearm_clears_a_trip_and_the_pump_can_go_on(armed: Bench) -> None:
    armed.guard.pin_fault(armed.now_ns)
    armed.turn()
    armed.run, armed.lease_number = RUN + 1, 0
    armed.rise(acknowledged=0)
    armed.arm()
    assert not armed.outputs.enable
    armed.run, armed.lease_number = RUN + 2, 0
    armed.rise(acknowledged=1)
    armed.arm()
    assert armed.outputs.enable
    armed.dose(S, 100 * MS)
    assert armed.counted.counted_steps == 10


def test_an_acknowledgement_without_a_trip_is_only_a_new_run() -> None:
    bench = Bench()
    bench.rise(acknowledged=1)
    bench.arm()
    assert bench.outputs.enable
    assert bench.trips == []


def test_after_a_rearm_the_guard_may_trip_again(armed: Bench) -> None:
    for round_number in range(3):
        armed.beats = False
        armed.run_for(S)
        assert armed.trips == [Trip.SILENCE] * (round_number + 1)
        armed.run, armed.lease_number = armed.run + 1, 0
        armed.rise()
        armed.arm()
        assert armed.outputs.enable


def test_a_trip_is_in_the_memory_in_the_same_turn(armed: Bench) -> None:
    armed.guard.pin_fault(armed.now_ns)
    armed.turn()
    assert armed.saved[-1].trip == Trip.PIN_FAULT


def test_a_trip_survives_a_restart_of_the_guard_and_its_light_and_sound_do_too(
    armed: Bench,
) -> None:
    armed.dose(S, 100 * MS)
    armed.guard.pin_fault(armed.now_ns)
    armed.turn()
    again = Bench(memory=armed.saved[-1], up=False)
    again.run_for(S)
    assert any(outputs.lamp_high for _, outputs in again.trace)
    assert any(outputs.buzzer for _, outputs in again.trace)
    hello = again.guard.greeting()[0]
    assert isinstance(hello, GuardHello)
    assert (hello.trip, hello.counted_steps, hello.since_start) == (Trip.PIN_FAULT, 10, 0)
    again.run, again.lease_number = RUN + 1, 0
    again.rise(acknowledged=0)
    again.arm()
    assert not again.outputs.enable


# ------------------------------------------------------------------ the memory


def test_f24_the_head_of_the_ledger_is_kept_and_given_back() -> None:
    bench = Bench()
    head = Head(41, 1, -2, 3, -4)
    bench.pumpd(head)
    assert bench.saved[-1].head == head
    assert Bench(memory=bench.saved[-1], up=False).guard.greeting()[1] == head


def test_sr_41_the_row_that_a_full_check_has_passed_is_kept_and_told() -> None:
    bench = Bench()
    for role, row in (
        (Role.PUMPD, CheckedRow(40, 1, -2, 3, -4)),
        (Role.VISITOR, CheckedRow(41, 5, 6, 7, 8)),
        (Role.VISITOR, CheckedRow(0, 0, 0, 0, 0)),
    ):
        bench.mail.append((role, row))
        bench.run_for(50 * MS)
        assert bench.saved[-1].checked == row
        assert Bench(memory=bench.saved[-1], up=False).guard.greeting()[2] == row


def test_a_visitor_has_no_part_in_delivery() -> None:
    bench = Bench()
    bench.arm()
    assert bench.outputs.enable
    bench.guard.joined(bench.now_ns, Role.VISITOR, Hello(Role.VISITOR, 0, 0))
    for record in (Rearm(99, 1), Alive(1), Lease(9, 1, 1, 5, 0), Signal(3, 1)):
        bench.mail.append((Role.VISITOR, record))
    bench.run_for(50 * MS)
    bench.guard.left(bench.now_ns, Role.VISITOR, clean=False)
    bench.run_for(50 * MS)
    assert bench.outputs.enable  # nothing tripped, nothing began anew
    bench.alive = False  # and a visitor's word is no sign of pumpd's life
    for _ in range(30):
        bench.mail.append((Role.VISITOR, Alive(1)))
        bench.run_for(100 * MS)
    assert not bench.outputs.enable


def test_sr_42_a_guard_without_a_file_says_so() -> None:
    hello, head, checked = Bench(up=False).guard.greeting()
    assert isinstance(hello, GuardHello)
    assert (hello.fresh, hello.run, hello.since_start, hello.pid) == (1, 0, 0, 99)
    assert head == Head(0, 0, 0, 0, 0)
    assert checked == CheckedRow(0, 0, 0, 0, 0)
    hello = Bench(memory=Memory(), up=False).guard.greeting()[0]
    assert isinstance(hello, GuardHello)
    assert hello.fresh == 0


def test_a_guard_that_restarts_says_that_it_did_not_see_the_whole_run() -> None:
    memory = Memory(RUN, 100, 2, 5, 101, 9_000, 0, Head(1, 2, 3, 4, 5))
    bench = Bench(memory=memory, up=False)
    hello = bench.guard.greeting()[0]
    assert hello == GuardHello(RUN, 100, 2, 5, 0, 0, 9_000, 101, 0, 99)


def test_a_guard_that_saw_half_of_a_run_does_not_judge_its_totals() -> None:
    memory = Memory(RUN, 100, 0, 0, 300, 9_000, 0, Head(1, 2, 3, 4, 5))
    bench = Bench(memory=memory, up=False)
    bench.guard.joined(bench.now_ns, Role.PUMPD, Hello(Role.PUMPD, 0, 0))
    bench.alive = True
    bench.run_for(5 * S)
    assert bench.trips == []


def test_the_memory_is_saved_at_each_lease_and_when_enable_goes_off(armed: Bench) -> None:
    armed.dose(S, 100 * MS)
    saved = len(armed.saved)
    armed.wish_for(on=False)
    armed.run_for(50 * MS)
    assert len(armed.saved) == saved + 1
    assert (armed.saved[-1].counted_steps, armed.saved[-1].issued_steps) == (10, 10)
    armed.lease(27)
    assert len(armed.saved) == saved + 2


# ------------------------------------------------------------------ light and sound


def spans(levels: list[tuple[int, bool]]) -> list[tuple[int, int]]:
    """Return when something was on, from and to, leaving out what was cut at the ends."""
    found, began = [], None
    for (_, before), (at, after) in pairwise(levels):
        if after and not before:
            began = at
        if before and not after and began is not None:
            found.append((began, at))
    return found


def of_the_functions(priority: int, span_ms: int) -> Iterator[tuple[list[tuple[int, bool]], ...]]:
    yield (
        [(ms * MS, signals.lamp_is_on(priority, ms * MS)) for ms in range(-0, span_ms)],
        [(ms * MS, signals.buzzer_is_on(priority, ms * MS)) for ms in range(span_ms)],
    )


def of_the_guard(priority: int, span_ms: int) -> Iterator[tuple[list[tuple[int, bool]], ...]]:
    """Yield what the lines do, as the guard turns them in its own time."""
    bench = Bench()
    bench.pumpd(Signal(priority, 1))
    begin = len(bench.trace) - 2
    bench.run_for(span_ms * MS)
    lamp = {3: "lamp_high", 2: "lamp_medium", 1: "lamp_low"}[priority]
    yield (
        [(at, getattr(outputs, lamp)) for at, outputs in bench.trace[begin:]],
        [(at, outputs.buzzer) for at, outputs in bench.trace[begin:]],
    )


TRACES = pytest.mark.parametrize("traces", [of_the_functions, of_the_guard])


@TRACES
@pytest.mark.parametrize(
    ("priority", "hz", "duty"), [(3, (1.4, 2.8), (0.20, 0.80)), (2, (0.4, 0.8), (0.20, 0.60))]
)
def test_sr_48_lamps_flash_inside_the_standards_frequency_and_duty(
    traces: Callable[[int, int], Iterator[tuple[list[tuple[int, bool]], ...]]],
    priority: int,
    hz: tuple[float, float],
    duty: tuple[float, float],
) -> None:
    for lamp, _ in traces(priority, 60_000):
        flashes = spans(lamp)
        assert len(flashes) > 20
        for (on_ns, off_ns), (next_ns, _) in pairwise(flashes):
            assert hz[0] <= S / (next_ns - on_ns) <= hz[1]
            assert duty[0] <= (off_ns - on_ns) / (next_ns - on_ns) <= duty[1]


def test_sr_48_the_lamp_of_a_low_alarm_is_constant_and_of_none_is_dark() -> None:
    for ms in range(0, 60_000, 7):
        assert signals.lamp_is_on(1, ms * MS)
        assert not signals.lamp_is_on(0, ms * MS)
        assert not signals.buzzer_is_on(0, ms * MS)
    assert not signals.lamp_is_on(4, 0)
    assert not signals.buzzer_is_on(4, 0)


def bursts(pulses: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Return the pulses in bursts: what is more than two seconds apart is another one."""
    found: list[list[tuple[int, int]]] = []
    for pulse in pulses:
        if found and pulse[0] - found[-1][-1][1] < 2 * S:
            found[-1].append(pulse)
        else:
            found.append([pulse])
    return found


@TRACES
@pytest.mark.parametrize(
    ("priority", "groups", "pulse_ms", "spacing_ms", "repeat_s"),
    [
        (3, (3, 2, 3, 2), (75, 200), (50, 125), (2.5, 15)),
        (2, (3,), (125, 250), (125, 250), (2.5, 30)),
        (1, (2,), (125, 250), (125, 250), (15, 10_000)),
    ],
)
def test_sr_48_the_buzzers_rhythm_is_inside_the_standards_ranges(
    traces: Callable[[int, int], Iterator[tuple[list[tuple[int, bool]], ...]]],
    priority: int,
    groups: tuple[int, ...],
    pulse_ms: tuple[int, int],
    spacing_ms: tuple[int, int],
    repeat_s: tuple[float, float],
) -> None:
    for _, buzzer in traces(priority, 150_000):
        pulses = spans(buzzer)
        (first, *rest), last = bursts(pulses)[:-1], bursts(pulses)[-1]
        assert last
        for burst in (first, *rest):
            assert len(burst) in (sum(groups), sum(groups) - 1)  # the first pulse has no beginning
            assert all(pulse_ms[0] * MS <= off - on <= pulse_ms[1] * MS for on, off in burst)
        for burst in rest:
            place = 0
            for size in groups:
                group = burst[place : place + size]
                place += size
                gaps = [after[0] - before[1] for before, after in pairwise(group)]
                assert all(spacing_ms[0] * MS <= gap <= spacing_ms[1] * MS for gap in gaps)
                if place < len(burst):  # a pause between groups is longer than the gaps in them
                    assert burst[place][0] - group[-1][1] > spacing_ms[1] * MS
        for before, after in pairwise([first, *rest]):
            assert repeat_s[0] * S <= after[0][0] - before[-1][1] <= repeat_s[1] * S


@pytest.mark.parametrize("priority", [1, 2, 3])
def test_sr_48_only_the_lamp_of_the_highest_alarm_is_lit(priority: int) -> None:
    bench = Bench()
    bench.pumpd(Signal(priority, 0))
    begin = len(bench.trace)
    bench.run_for(5 * S)
    lit = {
        name
        for _, outputs in bench.trace[begin:]
        for name in ("lamp_low", "lamp_medium", "lamp_high")
        if getattr(outputs, name)
    }
    assert lit == {("lamp_low", "lamp_medium", "lamp_high")[priority - 1]}
    assert not any(outputs.buzzer for _, outputs in bench.trace[begin:])


def test_sr_49_a_trip_is_red_at_once_whatever_pumpd_says_of_its_own(armed: Bench) -> None:
    armed.pumpd(Signal(1, 0))
    armed.guard.pin_fault(armed.now_ns)
    armed.turn()
    assert armed.outputs.lamp_high
    assert not armed.outputs.lamp_low
    armed.pumpd(Signal(0, 0))
    armed.run_for(260 * MS)
    assert any(outputs.lamp_high for _, outputs in armed.trace[-20:])


@pytest.mark.parametrize("cause", ["frozen", "killed", "stepper frozen", "stepper lost"])
def test_sr_49_a_trip_sounds_within_500_ms_even_if_pumpd_cannot_say_so(
    armed: Bench, cause: str
) -> None:
    match cause:
        case "frozen":
            armed.alive = False
        case "killed":
            armed.alive = False
            armed.guard.left(armed.now_ns, Role.PUMPD, clean=False)
        case "stepper frozen":
            armed.beats = False
        case _:
            armed.beats = False
            armed.guard.left(armed.now_ns, Role.STEPPER, clean=False)
    armed.run_for(3 * S)
    (tripped_ns,) = [one.at_ns for one in armed.to_pumpd if isinstance(one, Tripped)]
    sounds = [at for at, outputs in armed.trace if outputs.buzzer]
    assert sounds
    assert min(sounds) - tripped_ns <= 500 * MS


def test_sr_50_pumpd_may_pause_the_sound_of_a_trip(armed: Bench) -> None:
    armed.guard.pin_fault(armed.now_ns)
    armed.turn()
    assert armed.outputs.buzzer
    armed.pumpd(Signal(3, 0))
    begin = len(armed.trace)
    armed.run_for(15 * S)
    assert not any(outputs.buzzer for _, outputs in armed.trace[begin:])
    armed.pumpd(Signal(3, 1))
    armed.run_for(11 * S)
    assert any(outputs.buzzer for _, outputs in armed.trace[begin:])


def test_sr_49_the_sound_of_a_trip_comes_back_when_pumpd_goes(armed: Bench) -> None:
    armed.guard.pin_fault(armed.now_ns)
    armed.pumpd(Signal(3, 0))
    armed.run_for(S)
    armed.guard.left(armed.now_ns, Role.PUMPD, clean=False)
    armed.alive = False
    begin = len(armed.trace)
    armed.run_for(11 * S)
    assert any(outputs.buzzer for _, outputs in armed.trace[begin:])


# ------------------------------------------------------------------ times


def test_the_times_of_the_guard_grow_with_the_demos_speed_but_for_the_hour() -> None:
    one, sixty = Timing.at(1), Timing.at(60)
    assert (one.silence_ns, one.judge_ns, one.alive_lost_ns) == (200 * MS, 25 * MS, 2 * S)
    assert (one.extra_ns, one.missing_ns, one.alive_ns) == (100 * MS, S, 20 * MS)
    assert one.rest_ns == 50 * MS
    assert one.hour_ns == sixty.hour_ns == HOUR
    for name in Timing.__slots__:
        if name != "hour_ns":
            assert getattr(sixty, name) == 60 * getattr(one, name)


def test_the_guard_wakes_often_enough_for_its_one_shot_and_its_judgement(armed: Bench) -> None:
    armed.beats = armed.alive = False
    for _ in range(200):
        before_ns = armed.now_ns
        armed.now_ns = armed.wake_ns
        armed.turn()
        assert 0 < armed.now_ns - before_ns <= 20 * MS


def test_the_guard_judges_when_it_feeds_the_one_shot_and_does_not_wake_for_it() -> None:
    bench = Bench()
    bench.arm()
    bench.beats = bench.alive = False
    begin = len(bench.trace)
    bench.run_for(190 * MS)  # no silence yet
    assert bench.trips == []
    assert len(bench.trace) - begin <= 11


def test_a_guard_at_rest_looks_every_50_ms_and_is_awake_at_once_when_it_is_wanted() -> None:
    bench = Bench()
    bench.beats = bench.alive = False
    bench.run_for(100 * MS)
    begin = len(bench.trace)
    bench.run_for(S)
    assert 20 <= len(bench.trace) - begin <= 21
    bench.lease(27)
    bench.beats = True
    bench.wish_for(on=True)
    bench.run_for(0)
    assert bench.outputs.enable
    assert bench.wake_ns - bench.now_ns <= 20 * MS


@pytest.mark.parametrize("what", ["alarm", "trip", "button", "check", "feedback", "edges"])
def test_a_guard_that_has_something_to_show_or_to_suspect_does_not_rest(what: str) -> None:
    bench = Bench()
    bench.beats = bench.alive = False
    bench.run_for(100 * MS)
    match what:
        case "alarm":
            bench.pumpd(Signal(signals.LOW, 1))
        case "trip":
            bench.guard.pin_fault(bench.now_ns)
        case "button":
            bench.button = True
        case "check":
            bench.pumpd(SignalCheck())
        case "feedback":
            bench.feedback = True
        case _:
            bench.edges += 2
    bench.turn()
    assert 0 < bench.wake_ns - bench.now_ns <= 20 * MS


@given(st.data())
def test_sr_36_counts_never_go_back_and_enable_is_never_on_after_a_trip(
    data: st.DataObject,
) -> None:
    bench = Bench()
    bench.lease(10_000)
    before = (0, 0, 0)
    tripped_ns = None
    for _ in range(data.draw(st.integers(1, 30))):
        match data.draw(st.sampled_from(["step", "extra", "missing", "wish", "button", "silence"])):
            case "step":
                bench.step(data.draw(st.integers(1, 9)))
            case "extra":
                bench.edges += data.draw(st.integers(1, 3))
            case "missing":
                bench.step(data.draw(st.integers(1, 3)), seen=0)
            case "wish":
                bench.wish_for(on=data.draw(st.booleans()))
            case "button":
                bench.button = not bench.button
            case _:
                bench.beats = not bench.beats
                bench.next_beat_ns = bench.now_ns
        bench.run_for(data.draw(st.integers(0, 300)) * MS)
        told = [one for one in bench.to_pumpd if isinstance(one, Counted)][-1]
        now = (told.counted_steps, told.doubtful_steps, told.apart_edges)
        assert all(after >= earlier for earlier, after in zip(before, now, strict=True))
        assert sum(now) <= bench.edges
        before = now
        if bench.trips and tripped_ns is None:
            tripped_ns = next(o.at_ns for o in bench.to_pumpd if isinstance(o, Tripped))
    if tripped_ns is not None:
        assert not any(outputs.enable for at, outputs in bench.trace if at >= tripped_ns)


def test_the_guard_shares_no_limit_with_the_pump() -> None:
    assert not any("limits" in name or "mechanics" in name for name in vars(core))
