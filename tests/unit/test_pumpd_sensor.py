"""The thread that reads force and feedback: as often as the engine wants, and it stops the motor
itself.
"""

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from appliance.engine import messages as m
from appliance.errors import PinFault, SensorFault
from appliance.ports import ForceReading
from appliance.pumpd import ForceSource, SensorThread

LIMIT_S = 10.0
LONG_MS = 3_600_000
THRESHOLD_MN = 12_000


@dataclass
class Sensor:
    """A sensor that says what is put into it, and its last word for ever after."""

    says: list[int | Exception] = field(default_factory=lambda: [1_000])
    reads: int = 0

    def read(self) -> ForceReading:
        self.reads += 1
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, Exception):
            raise said
        return ForceReading(said)

    def close(self) -> None:
        pass


class Pins:
    def close(self) -> None:
        pass


class Room:
    """The thread and all that it says."""

    def __init__(self) -> None:
        self.sensor = Sensor()
        self.builds = 0
        self.flags: int | None = None
        self.warmth: tuple[int | None, int] = (45, 0)
        self.boards: list[m.Board] = []
        self.said: queue.Queue[Any] = queue.Queue()
        self.thread = SensorThread(
            self.build,
            THRESHOLD_MN,
            self.tell,
            lambda: self.said.put("stop"),
            lambda error: self.said.put(error),
        )

    def build(self) -> ForceSource:
        self.builds += 1
        feedback = None if self.flags is None else lambda: self.flags
        return ForceSource(self.sensor, feedback, Pins(), lambda: self.warmth)

    def tell(self, *events: Any) -> None:
        self.boards += [one for one in events if isinstance(one, m.Board)]
        self.said.put(tuple(one for one in events if not isinstance(one, m.Board)))

    def hears(self) -> Any:
        return self.said.get(timeout=LIMIT_S)

    def looks_again(self, ms: int) -> Any:
        """Have it look at once, and return what it says."""
        self.thread.look_every(ms)
        return self.hears()


@pytest.fixture
def room() -> Iterator[Room]:
    one = Room()
    yield one
    one.thread.end()
    one.thread.join(LIMIT_S)
    assert not one.thread.is_alive()


def test_a_sensor_that_may_rest_is_read_at_once_when_the_motor_begins(room: Room) -> None:
    room.thread.look_every(LONG_MS)
    room.thread.start()
    assert room.hears() == (m.Force(1_000),)
    assert room.looks_again(LONG_MS // 2) == (m.Force(1_000),)
    assert room.sensor.reads == 2


def test_a_sensor_that_is_to_be_read_less_often_waits_from_now_on(room: Room) -> None:
    room.thread.look_every(1)
    room.thread.start()
    for _ in range(5):
        room.hears()
    room.thread.look_every(LONG_MS)
    reads = -1
    while reads != room.sensor.reads:  # the look that was under way
        reads = room.sensor.reads
        room.thread.join(0.05)
    assert room.sensor.reads == reads


def test_sr_26_at_the_threshold_the_motor_is_stopped_before_anybody_is_told(room: Room) -> None:
    room.sensor.says = [THRESHOLD_MN - 1, THRESHOLD_MN, THRESHOLD_MN + 5, 0, THRESHOLD_MN, 0]
    room.thread.look_every(1)
    room.thread.start()
    heard = [room.hears() for _ in range(7)]
    forces = [(m.Force(one),) for one in (11_999, 12_000, 12_005, 0, 12_000)]
    assert heard == [forces[0], "stop", *forces[1:4], "stop", forces[4]]


def test_force_and_feedback_are_one_wake_of_the_engine(room: Room) -> None:
    room.flags = 3
    room.thread.start()
    assert room.hears() == (m.Force(1_000), m.Feedback(3))


def test_sr_61_the_boards_warmth_is_told_at_first_and_when_it_changes(room: Room) -> None:
    room.thread.look_every(LONG_MS)
    room.thread.start()
    room.hears()
    room.looks_again(LONG_MS - 1)
    room.warmth = (81, 0)
    room.looks_again(LONG_MS - 2)
    assert room.boards == [m.Board(45, 0), m.Board(81, 0)]


def test_f58_a_sensor_that_fails_for_a_second_is_built_anew(room: Room) -> None:
    room.sensor.says = [SensorFault("it does not answer"), SensorFault("nor now"), 700]
    room.thread.look_every(600)
    room.thread.start()
    assert room.hears() == (m.Force(None, "it does not answer"),)
    assert room.looks_again(599) == (m.Force(None, "nor now"),)
    assert room.builds == 1
    assert room.looks_again(598) == (m.Force(700),)
    assert room.builds == 2


def test_f61_pins_that_cannot_be_had_are_told_and_tried_again(room: Room) -> None:
    build, lost = room.build, [PinFault("no bench-sim answers")]

    def once_lost() -> ForceSource:
        if lost:
            raise lost.pop()
        return build()

    room.thread._build = once_lost
    room.thread.start()
    assert room.hears() == (m.Force(None, "no bench-sim answers"),)
    assert room.looks_again(49) == (m.Force(1_000),)
