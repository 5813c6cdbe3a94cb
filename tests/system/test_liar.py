"""A `pumpd` that lies: real guard and stepper on the bench, and a test in `pumpd`'s place.

The guard believes the pin before any message, so whatever `pumpd` says, ENABLE goes off.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_harness import wait_for

from appliance.adapters.clock import SystemClock, real_monotonic_ns
from appliance.adapters.wires import Wire, connect
from appliance.client.bench import BenchClient
from appliance.config import load
from appliance.demo import Demo
from appliance.errors import WireLost
from appliance.pumpd import Stepper
from appliance.records import (
    NO_LIMIT,
    Alive,
    Counted,
    Direction,
    GuardHello,
    Hello,
    Lease,
    LeaseTaken,
    Motion,
    Programme,
    Rearm,
    Record,
    Role,
    Trip,
    Tripped,
)

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(90)]
RUN = 4711
FAST_UU_PER_H = 600_000_000  # a step every 11 ms


class Liar:
    """A `pumpd` of the test's own on real wires: it says what it is told to say."""

    def __init__(self, folder: Path, edit: dict[str, str]) -> None:
        folder.mkdir()
        Demo(folder, 1)
        path = folder / "benchpump.toml"
        text = path.read_text()
        for old, new in edit.items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        self.demo = Demo(folder, 1)
        self.folder = folder
        self.heard: list[Record] = []
        self.said_ns = 0
        self._ending = threading.Event()
        self.alive = True

    def start(self) -> None:
        for child in self.demo._children[:2]:
            child.start()
            door = "pins.sock" if child.name == "bench-sim" else "guard.sock"
            wait_for((self.folder / "run" / door).exists, f"{child.name} listens")
        config, _ = load(self.folder / "benchpump.toml")
        self.guard = Wire(connect(self.folder / "run" / "guard.sock"))
        self.guard.send(Hello(int(Role.PUMPD), 0, 0))
        self.guard.send(Rearm(RUN, 0))
        self.hear(GuardHello)
        self.stepper = Stepper(config, None)
        self.stepper.spawn(RUN)
        self._beat = threading.Thread(target=self._be_alive, name="liar-alive")
        self._beat.start()
        self.clock = SystemClock("UTC")
        wait_for(lambda: self.hear(Counted), "the guard counts")

    def _be_alive(self) -> None:
        while not self._ending.wait(0.05):
            if self.alive:
                with contextlib.suppress(WireLost):
                    self.guard.send(Alive(1))
            assert self.stepper.wire is not None
            with contextlib.suppress(WireLost):
                self.stepper.wire.read()

    def hear(self, kind: type[Record]) -> list[Record]:
        with contextlib.suppress(WireLost):
            self.heard += self.guard.read()
        return [one for one in self.heard if isinstance(one, kind)]

    def lease(
        self,
        number: int,
        steps: int,
        *,
        announce: bool = True,
        direction: Direction = Direction.FORWARD,
    ) -> None:
        lease = Lease(number, int(Motion.DOSE), int(direction), steps, 0)
        if announce:
            self.guard.send(lease)
            taken = LeaseTaken(number)
            wait_for(
                lambda: taken in self.hear(LeaseTaken) or self.hear(Tripped), "the lease is taken"
            )
        assert self.stepper.wire is not None
        self.stepper.wire.send(lease)

    def run(self, steps: int) -> None:
        assert self.stepper.wire is not None
        now_ns = self.clock.monotonic_ns()
        words = (1, int(Motion.DOSE), FAST_UU_PER_H, now_ns, NO_LIMIT, steps, 0, 0, 0, 0)
        self.stepper.wire.send(Programme(*words))

    def trip(self) -> Tripped:
        """Wait for the guard's trip, and see that ENABLE is off at the motor."""
        found = wait_for(lambda: self.hear(Tripped), "the guard trips", 20.0)[0]
        assert isinstance(found, Tripped)
        wait_for(lambda: not self.truth()["enable"], "ENABLE is off", 1.0)
        return found

    def truth(self) -> dict[str, int]:
        with BenchClient(self.folder / "run" / "bench.sock") as bench:
            return bench.call("status", {})

    def stop(self) -> None:
        self._ending.set()
        self._beat.join()
        self.stepper.kill()
        self.guard.close()
        self.demo.stop()


@pytest.fixture
def liar(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Liar]:
    one = Liar(tmp_path / "D", getattr(request, "param", {}))
    one.start()
    try:
        yield one
    finally:
        one.stop()


SMALL = {"hourly_uu = 60_000_000": "hourly_uu = 100_000"}


@pytest.mark.parametrize("liar", [SMALL], indirect=True)
def test_sr_16_more_than_the_guards_own_hourly_budget_trips_it(liar: Liar) -> None:
    """Every lease is announced and honest; together they are over 1.5 x the hourly ceiling."""
    budget_steps = 150_000 * 3_200 // 5_890_141 + 1
    for number in range(1, 3):
        liar.lease(number, 60)
    liar.run(120)
    trip = liar.trip()
    assert Trip(trip.trip) is Trip.BUDGET
    assert budget_steps < trip.detail <= budget_steps + 3
    assert liar.truth()["steps_forward"] <= budget_steps + 3


def test_sr_16_steps_outside_every_announced_lease_trip_the_guard(liar: Liar) -> None:
    liar.lease(1, 27)
    liar.lease(2, 500, announce=False)
    liar.run(400)
    trip = liar.trip()
    assert Trip(trip.trip) is Trip.UNLEASED_EDGES
    assert liar.truth()["steps_forward"] <= 27 + 4


def test_sr_33_a_lease_that_asks_a_dose_to_go_back_trips_the_guard(liar: Liar) -> None:
    liar.lease(1, 27, direction=Direction.REVERSE)
    assert Trip(liar.trip().trip) is Trip.REVERSE
    assert liar.truth()["steps_reverse"] == 0


def test_sr_58_a_pumpd_that_is_frozen_for_two_seconds_trips_the_guard(liar: Liar) -> None:
    liar.lease(1, 2_000)
    liar.run(2_000)
    wait_for(lambda: liar.truth()["steps_forward"] > 20, "it steps")
    liar.alive = False
    since_ns = real_monotonic_ns()
    trip = liar.trip()
    assert Trip(trip.trip) is Trip.ALIVE_LOST
    assert 1.9 <= (real_monotonic_ns() - since_ns) / 1e9 <= 2.6


def test_a_latched_trip_is_cleared_by_nothing_but_an_acknowledged_rearm(liar: Liar) -> None:
    liar.lease(1, 27, direction=Direction.REVERSE)
    liar.trip()
    liar.guard.send(Rearm(RUN + 1, 0))
    assert trip_of(liar, RUN + 1) is Trip.REVERSE
    liar.guard.send(Rearm(RUN + 2, 1))
    assert trip_of(liar, RUN + 2) is Trip.NONE


def trip_of(liar: Liar, run: int) -> Trip:
    """Return the trip that the guard says stands at the beginning of ``run``."""

    def answered() -> list[GuardHello]:
        hellos = [one for one in liar.hear(GuardHello) if isinstance(one, GuardHello)]
        return [one for one in hellos if one.run == run]

    return Trip(wait_for(answered, "the guard answers")[0].trip)
