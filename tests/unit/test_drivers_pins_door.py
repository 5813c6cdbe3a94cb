"""In which order bench-sim believes its programs: by their stamps, after a look at the clock."""

import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.bench_wire import READ_BYTES, RECORD, VERSION, Function, Kind, unpack_text
from drivers.mock.pins_door import PinsDoor
from drivers.mock.plant import Plant
from drivers.mock.settings import BenchSettings, Wire


class Desk:
    """A door with its plant, turned by hand; programs are bare sockets."""

    def __init__(self, path: Path) -> None:
        settings = BenchSettings(one_shot="none")
        self.path = path
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        self.listening.listen()
        self.listening.settimeout(0)
        self.poll = select.poll()
        self.door = PinsDoor(self.listening, self.poll, settings.pins)
        self.plant = Plant(settings, 0, self.door.changed)
        self.programs: list[socket.socket] = []

    def turn(self, look_ns: int) -> None:
        for descriptor, events in self.poll.poll(0):
            self.door.handle(descriptor, events)
        self.door.apply(self.plant, look_ns)
        self.door.push(self.plant, look_ns)

    def join(self, name: str) -> socket.socket:
        program = socket.socket(socket.AF_UNIX)
        program.connect(str(self.path))
        program.settimeout(0)
        self.programs.append(program)
        self.turn(0)
        send(program, Kind.HELLO, number=VERSION, text=name.encode())
        self.turn(0)
        return program

    def close(self) -> None:
        self.door.close()
        for program in self.programs:
            program.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "pins")
    yield desk
    desk.close()


def send(
    program: socket.socket,
    kind: Kind,
    pin: int = 0,
    level: int = 0,
    extra: int = 0,
    number: int = 0,
    at_ns: int = 0,
    text: bytes = b"",
) -> None:
    program.send(RECORD.pack(kind, pin, level, extra, number, at_ns, 0, text))


def claim(desk: Desk, program: socket.socket, pin: int, level: int) -> None:
    send(program, Kind.CLAIM, pin=pin, level=level, extra=Function.OUTPUT, number=1)
    desk.turn(0)


def answers(program: socket.socket) -> list[tuple[int, int, int, int]]:
    """Return kind, pin, level and count of all that has come."""
    try:
        data = program.recv(READ_BYTES)
    except BlockingIOError:
        return []
    return [(f[0], f[1], f[2], f[6]) for f in RECORD.iter_unpack(data)]


def test_a_write_stamped_after_the_look_waits_for_the_next_turn_and_no_longer(desk: Desk) -> None:
    stepper = desk.join("stepper")
    claim(desk, stepper, 17, 0)
    send(stepper, Kind.WRITE, pin=17, level=1, at_ns=1_001)
    desk.turn(1_000)
    assert desk.plant.edges_seen == 0
    assert desk.door.hurried
    desk.turn(1_000)  # a clock that is off holds nobody up
    assert desk.plant.edges_seen == 1
    assert not desk.door.hurried


def test_enable_that_was_told_before_the_step_is_believed_whichever_socket_is_read_first(
    desk: Desk,
) -> None:
    """The step is read in this turn, the ENABLE that it was told of in the next one."""
    guard, stepper = desk.join("guard"), desk.join("stepper")
    claim(desk, guard, 22, 1)
    claim(desk, stepper, 17, 0)
    # The look is taken at 1,000; then the guard is read and has nothing; then both write.
    send(stepper, Kind.WRITE, pin=17, level=1, at_ns=1_020)
    desk.turn(1_000)
    send(guard, Kind.WRITE, pin=22, level=0, at_ns=1_010)
    desk.turn(1_100)
    assert (desk.plant.steps_forward, desk.plant.edges_while_disabled) == (1, 0)


def test_the_order_of_one_program_is_kept_though_its_stamps_are_not_in_order(desk: Desk) -> None:
    guard = desk.join("guard")
    claim(desk, guard, 12, 0)
    for level, at_ns in ((1, 500), (0, 400), (1, 450), (0, 300)):
        send(guard, Kind.WRITE, pin=12, level=level, at_ns=at_ns)
    desk.turn(1_000)
    assert [on for _, on in desk.plant.signal_trace[Wire.BUZZER]] == [True, False, True, False]


def test_what_a_dead_program_had_sent_still_counts_and_enable_falls(desk: Desk) -> None:
    program = desk.join("both")
    claim(desk, program, 22, 1)
    claim(desk, program, 17, 0)
    send(program, Kind.WRITE, pin=22, level=0, at_ns=10)
    for place in range(5):
        send(program, Kind.WRITE, pin=17, level=1, at_ns=1_000_000 * (place + 1))
        send(program, Kind.WRITE, pin=17, level=0, at_ns=1_000_000 * (place + 1) + 2_000)
    send(program, Kind.WRITE, pin=17, level=1, at_ns=6_000_000)
    program.close()
    desk.turn(7_000_000)
    desk.turn(7_000_000)  # what was sent is read first, then that it has ended
    assert desk.plant.steps_forward == 6
    assert not desk.plant.enable
    assert desk.plant.levels[Wire.READBACK] == 0
    assert desk.door.programs() == []
    assert [on for _, on, _ in desk.plant.enable_trace] == [True, False]


def test_an_inputs_level_and_count_come_before_the_answer_to_its_claim(desk: Desk) -> None:
    guard = desk.join("guard")
    assert answers(guard) == [(Kind.WELCOME, 0, 0, 0)]
    desk.plant.inject("readback_extra", {"edges": 3}, 0)
    send(guard, Kind.CLAIM, pin=5, extra=Function.PULL_DOWN, number=7)
    desk.turn(0)
    assert answers(guard)[:2] == [(Kind.LEVEL, 5, 0, 3), (Kind.DONE, 5, 0, 0)]


def test_many_edges_in_one_turn_are_one_push_with_their_count(desk: Desk) -> None:
    guard, stepper = desk.join("guard"), desk.join("stepper")
    send(guard, Kind.CLAIM, pin=5, extra=Function.PULL_DOWN, number=7)
    claim(desk, stepper, 17, 0)
    answers(guard)
    for place in range(50):
        send(stepper, Kind.WRITE, pin=17, level=1 - place % 2, at_ns=place)
    desk.turn(1_000)
    assert answers(guard) == [(Kind.LEVEL, 5, 0, 25)]


def test_a_reader_that_does_not_read_gets_the_newest_when_it_does(desk: Desk) -> None:
    guard, stepper = desk.join("guard"), desk.join("stepper")
    send(guard, Kind.CLAIM, pin=5, extra=Function.PULL_DOWN, number=7)
    claim(desk, stepper, 17, 0)
    for place in range(2_000):
        send(stepper, Kind.WRITE, pin=17, level=1, at_ns=2 * place)
        send(stepper, Kind.WRITE, pin=17, level=0, at_ns=2 * place + 1)
        desk.turn(1_000_000)
    got = answers(guard)
    assert 100 < len(got) < 1_500  # it was full for most of them
    for _ in range(3):
        desk.turn(1_000_000)
        got += answers(guard)
    assert got[-1] == (Kind.LEVEL, 5, 0, 2_000)
    counts = [count for kind, _, _, count in got if kind == Kind.LEVEL]
    assert counts == sorted(counts)


def test_of_all_that_waits_for_a_full_socket_nothing_is_lost(desk: Desk) -> None:
    guard, stepper = desk.join("guard"), desk.join("stepper")
    for pin in (5, 13):
        send(guard, Kind.CLAIM, pin=pin, extra=Function.PULL_DOWN, number=pin)
    claim(desk, stepper, 17, 0)
    for place in range(1_000):
        send(stepper, Kind.WRITE, pin=17, level=1 - place % 2, at_ns=place)
        desk.turn(1_000_000)
    desk.plant.press("stop", 10, 1_000_000)
    send(guard, Kind.RELEASE, pin=24, number=99)  # and an answer, which must not be skipped
    got = []
    for _ in range(4):
        desk.turn(1_000_000)
        got += answers(guard)
    assert [seen for seen in got if seen[1] == 13][-1] == (Kind.LEVEL, 13, 0, 1)
    assert [seen for seen in got if seen[1] == 5][-1] == (Kind.LEVEL, 5, 0, 500)
    assert (Kind.DONE, 24, 0, 0) in got


def test_a_second_claim_is_refused_with_the_holders_name(desk: Desk) -> None:
    holder, thief = desk.join("pump-guard"), desk.join("thief")
    claim(desk, holder, 22, 1)
    answers(thief)
    claim(desk, thief, 22, 0)
    refused = RECORD.unpack(thief.recv(READ_BYTES))
    assert refused[0] == Kind.REFUSED
    assert unpack_text(refused[7]).startswith("pump-guard (pid ")
    assert not desk.plant.enable


def test_another_version_is_refused(desk: Desk) -> None:
    program = socket.socket(socket.AF_UNIX)
    program.connect(str(desk.path))
    desk.programs.append(program)
    desk.turn(0)
    send(program, Kind.HELLO, number=VERSION + 1, text=b"old")
    desk.turn(0)
    refused = RECORD.unpack(program.recv(READ_BYTES))
    assert (refused[0], unpack_text(refused[7])) == (
        Kind.REFUSED,
        f"version {VERSION + 1}, bench-sim speaks {VERSION}",
    )
