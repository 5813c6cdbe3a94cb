"""The thread that reads force and feedback: as often as the engine wants, and it stops the motor
itself.
"""

import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.config import load
from appliance.domain.battery import Battery
from appliance.engine import messages as m
from appliance.errors import PinFault, SensorFault
from appliance.ports import ForceReading
from appliance.pumpd import (
    ForceSource,
    GaugeThread,
    SensorThread,
    battery_of,
    gauge_of,
    has_power_line,
)

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
        self.supply: list[bool | Exception] = []
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
        line = self.power_fails if self.supply else None
        return ForceSource(self.sensor, feedback, Pins(), lambda: self.warmth, line)

    def power_fails(self) -> bool:
        said = self.supply.pop(0) if len(self.supply) > 1 else self.supply[0]
        if isinstance(said, Exception):
            raise said
        return said

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


def test_sr_60_a_supply_that_fails_stops_the_motor_before_anybody_is_told(room: Room) -> None:
    room.supply = [False, False, True, True, PinFault("GPIO26 cannot be read"), False]
    room.thread.look_every(1)
    room.thread.start()
    heard = [room.hears() for _ in range(7)]
    force = m.Force(1_000)
    assert heard == [
        (m.PowerLine(failing=False), force),
        (force,),
        "stop",
        (m.PowerLine(failing=True), force),
        (force,),
        (m.PowerLine(None, "GPIO26 cannot be read"), force),
        (m.PowerLine(failing=False), force),
    ]


def test_f63_a_power_fail_line_whose_pins_are_lost_is_not_taken_for_good(room: Room) -> None:
    room.supply = [False]
    room.sensor.says = [1_000, SensorFault("it does not answer")]
    room.thread.look_every(1_000)
    room.thread.start()
    room.hears()
    force = m.Force(None, "it does not answer")
    lost = m.PowerLine(None, "the power-fail line cannot be read: it does not answer")
    assert room.looks_again(999) == (force,)
    assert room.looks_again(998) == (lost, force)


class Gauge:
    """A gauge that says what is put into it."""

    def __init__(self, *says: int | Exception) -> None:
        self.says = list(says)
        self.closed = False

    def read(self) -> int:
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    def close(self) -> None:
        self.closed = True


def test_sr_60_the_gauge_is_read_by_a_thread_of_its_own_and_its_faults_are_told() -> None:
    said: queue.Queue[Any] = queue.Queue()
    gauge = Gauge(80, SensorFault("no battery gauge answers"), ZeroDivisionError("a bug"))
    thread = GaugeThread(gauge, said.put, said.put)
    thread.start()
    assert said.get(timeout=LIMIT_S) == m.BatteryGauge(80)
    assert said.get(timeout=LIMIT_S) == m.BatteryGauge(None, "no battery gauge answers")
    assert isinstance(said.get(timeout=LIMIT_S), ZeroDivisionError)  # a bug ends the program
    thread.join(LIMIT_S)
    assert gauge.closed


def test_sr_60_battery_and_line_are_what_the_configuration_says(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "docs/benchpump.example.toml"
    shipped, _ = load(example)
    assert gauge_of(shipped) is battery_of(shipped) is None
    assert not has_power_line(shipped)
    text = example.read_text(encoding="utf-8").replace("# power_fail_n", "power_fail_n")
    fitted = tmp_path / "pump.toml"
    fitted.write_text(
        text.replace('kind = "none"                     # "max', 'kind = "ina219" # "max')
    )
    config, _ = load(fitted)
    assert battery_of(config) == Battery(10_000, 5_000)
    assert has_power_line(config)
    assert gauge_of(config) is not None
