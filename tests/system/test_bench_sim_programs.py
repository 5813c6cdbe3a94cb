"""bench-sim and real programs: kill them, freeze them, crowd them; the truth stays."""

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters.clock import real_monotonic_ns
from appliance.errors import PinFault, SensorFault
from drivers.assembly import GuardHardware, guard_hardware
from drivers.bench_wire import READ_BYTES, RECORD, RECORD_BYTES, VERSION, Function, Kind
from drivers.factory import build_factory
from drivers.force import force_sensor
from drivers.gpio import PinFactories
from drivers.mock.running import BenchProcess

ROOT = Path(__file__).parents[2]
DEADLINE_S = 10.0

STEPPER = """
    import sys, time
    from pathlib import Path
    from appliance.adapters.clock import real_monotonic_ns
    from drivers.assembly import stepper_hardware
    from drivers.factory import build_factory

    pins = build_factory(
        "bench", owner="pump-stepper", now_ns=real_monotonic_ns, bench_socket=Path(sys.argv[1])
    )
    motor = stepper_hardware(
        pins, step=17, direction=27, end_stop_n=24, driver_fault_n=25, direction_inverted=False,
        min_interval_us=1000, step_pulse_us=2, now_ns=real_monotonic_ns,
    )
    motor.axis.allow(10**9)
    print("stepping", flush=True)
    while True:
        time.sleep(0.0015)
        motor.end_stop.is_active()
        motor.axis.step()
"""
GUARD = """
    import sys, time
    from pathlib import Path
    from appliance.adapters.clock import real_monotonic_ns
    from drivers.assembly import guard_hardware
    from drivers.factory import build_factory

    pins = build_factory(
        "bench", owner="pump-guard", now_ns=real_monotonic_ns, bench_socket=Path(sys.argv[1])
    )
    watch = guard_hardware(
        pins, enable_n=22, alive=23, readback=5, enable_feedback_n=6, stop_button_n=13, buzzer=12,
        lamp_high=16, lamp_medium=20, lamp_low=21,
    )
    watch.enable.set(active=True)
    print("guarding", flush=True)
    alive = False
    while True:
        alive = not alive
        watch.alive.set(active=alive)
        watch.poll()
        time.sleep(0.02)
"""


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, "not within 10 s"
        time.sleep(0.002)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BenchProcess]:
    with BenchProcess(tmp_path) as running:
        yield running


@pytest.fixture
def started(bench: BenchProcess) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a program on the bench; it ends with the test."""
    programs: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(bench.pins_socket)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        programs.append(program)
        assert program.stdout is not None
        assert program.stdout.readline()
        return program

    yield start
    for program in programs:
        program.kill()
        program.communicate()


Connect = Callable[[str], PinFactories]


@pytest.fixture
def connect(bench: BenchProcess) -> Iterator[Connect]:
    """Connect a program of that name, in this process; it is closed with the test."""
    opened: list[PinFactories] = []

    def opening(owner: str) -> PinFactories:
        pins = build_factory(
            "bench", owner=owner, now_ns=real_monotonic_ns, bench_socket=bench.pins_socket
        )
        opened.append(pins)
        return pins

    yield opening
    for pins in opened:
        pins.close()


@pytest.fixture
def bare(bench: BenchProcess) -> Iterator[Callable[[bytes], "Bare"]]:
    opened: list[Bare] = []

    def opening(owner: bytes) -> Bare:
        opened.append(Bare(bench, owner))
        return opened[-1]

    yield opening
    for program in opened:
        program.socket.close()


def guard(pins: PinFactories) -> GuardHardware:
    return guard_hardware(
        pins,
        enable_n=22,
        alive=23,
        readback=5,
        enable_feedback_n=6,
        stop_button_n=13,
        buzzer=12,
        lamp_high=16,
        lamp_medium=20,
        lamp_low=21,
    )


def names(bench: BenchProcess) -> list[str]:
    return [str(program["name"]).split(" ")[0] for program in bench.status()["programs"]]


# ------------------------------------------------------------------ killed


def test_killing_the_stepper_leaves_the_truth_and_gives_its_lines_back(
    bench: BenchProcess, started: Callable[[str], subprocess.Popen[str]], connect: Connect
) -> None:
    started(GUARD)
    stepper = started(STEPPER)
    until(lambda: bool(bench.status()["steps_forward"] > 100))
    with pytest.raises(PinFault, match=rf"GPIO17 is busy: pump-stepper \(pid {stepper.pid}\)"):
        connect("thief").outputs.pin(17)
    stepper.kill()
    stepper.wait()
    until(lambda: "pump-stepper" not in names(bench))
    status = bench.status()
    assert status["steps_forward"] == status["edges_seen"] == status["readback_edges"] > 100
    assert (status["missed_edges"], status["edges_while_disabled"]) == (0, 0)
    assert status["levels"]["step"] == 0
    assert status["enable"] is True  # that is the guard's
    again = started(STEPPER)
    until(lambda: bool(bench.status()["steps_forward"] > status["steps_forward"]))
    assert again.poll() is None


def test_f65_killing_the_guard_drops_enable_and_no_later_edge_moves_anything(
    bench: BenchProcess, started: Callable[[str], subprocess.Popen[str]]
) -> None:
    watch = started(GUARD)
    started(STEPPER)
    until(lambda: bool(bench.status()["steps_forward"] > 50))
    watch.kill()
    watch.wait()
    until(lambda: bench.status()["enable"] is False)
    moved = bench.status()["steps_forward"]
    until(lambda: bool(bench.status()["edges_while_disabled"] > 50))
    assert bench.status()["steps_forward"] == moved
    on, off = bench.control.call("traces", last=10)["enable"]
    assert (on[1:], off[1:]) == ([True, "one-shot"], [False, "line"])


def test_f65_where_the_kernel_keeps_outputs_the_one_shot_drops_enable_within_50_ms(
    bench: BenchProcess, started: Callable[[str], subprocess.Popen[str]]
) -> None:
    bench.control.call("inject", name="outputs_kept")
    watch = started(GUARD)
    until(lambda: bench.status()["enable"] is True)
    os.kill(watch.pid, signal.SIGKILL)
    killed_ns = real_monotonic_ns()
    until(lambda: bench.status()["enable"] is False)
    dropped = bench.control.call("traces", last=1)["enable"][0]
    assert dropped[1:] == [False, "one-shot"]
    assert dropped[0] - killed_ns <= 50_000_000
    assert bench.status()["levels"]["enable_n"] == 0


def test_a_frozen_guard_is_a_silent_one_and_the_one_shot_closes(
    bench: BenchProcess, started: Callable[[str], subprocess.Popen[str]]
) -> None:
    watch = started(GUARD)
    until(lambda: bench.status()["enable"] is True)
    os.kill(watch.pid, signal.SIGSTOP)
    until(lambda: bench.status()["enable"] is False)
    os.kill(watch.pid, signal.SIGCONT)
    until(lambda: bench.status()["enable"] is True)
    causes = [cause for _, _, cause in bench.control.call("traces", last=3)["enable"]]
    assert causes == ["one-shot"] * 3


def test_a_frozen_reader_holds_nobody_up_and_has_the_right_count_when_it_wakes(
    bench: BenchProcess, connect: Connect
) -> None:
    """The guard's socket fills while it is frozen; what was skipped is made good."""
    guarding, stepping = connect("guard"), connect("stepper")
    watch = guard(guarding)
    step = stepping.outputs.pin(17)
    step.output_with_state(0)
    edges = 6_000
    for place in range(edges):
        step.state = 1
        step.state = 0
        if place % 4 == 0:  # so that the edges are pushed one by one, and fill the socket
            until(lambda place=place: bench.status()["edges_sent"] > place)
    until(lambda: bench.status()["readback_edges"] == edges)
    counter = watch.counter
    assert counter is not None
    until(lambda: counter.count() == edges)
    watch.close()


def test_a_frozen_bench_fills_the_socket_and_that_is_a_pin_fault_not_a_wait(
    bench: BenchProcess, connect: Connect
) -> None:
    pins = connect("stepper")
    step = pins.outputs.pin(17)
    step.output_with_state(0)
    os.kill(bench.pid, signal.SIGSTOP)
    began = time.monotonic()

    def write_on() -> None:
        for place in range(1_000_000):
            step.state = place & 1

    with pytest.raises(PinFault, match="its socket is full"):
        write_on()
    assert time.monotonic() - began < DEADLINE_S
    with pytest.raises(PinFault, match="its socket is full"):
        step.state = 1
    os.kill(bench.pid, signal.SIGCONT)
    pins.close()
    until(lambda: names(bench) == [])


def test_a_frozen_bench_does_not_hold_a_claim_for_ever(
    bench: BenchProcess, connect: Connect
) -> None:
    os.kill(bench.pid, signal.SIGSTOP)
    with pytest.raises(PinFault, match="does not answer within 2 s"):
        connect("guard")
    os.kill(bench.pid, signal.SIGCONT)


def test_f58_a_frozen_bench_is_a_sensor_fault_within_50_ms_that_passes(
    bench: BenchProcess, connect: Connect
) -> None:
    pins = connect("pumpd")
    sensor = force_sensor(
        "bench", pins, now_ns=real_monotonic_ns, zero_counts=0, un_per_count=1_000
    )
    assert sensor is not None
    sensor.read()
    os.kill(bench.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(SensorFault, match="does not answer within 50 ms"):
        sensor.read()
    assert time.monotonic() - began < 1.0  # 0.05 s on a quiet machine
    os.kill(bench.pid, signal.SIGCONT)
    until(lambda: bench.status()["enable"] is False)
    for _ in range(20):
        assert 500 < sensor.read().force_mn < 1_500


# ------------------------------------------------------------------ in order


class Bare:
    """A program without our driver: it stamps and sends what the test says."""

    def __init__(self, bench: BenchProcess, owner: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Blocking: with a timeout Python would wait for a socket that is three quarters empty.
        self.socket.connect(str(bench.pins_socket))
        self.send(Kind.HELLO, number=VERSION, text=owner, stamp_ns=0)
        self.receive()

    def send(self, kind: int, **fields: Any) -> None:
        self.socket.sendall(record(kind, **fields))

    def claim(self, pin: int, level: int) -> None:
        self.send(Kind.CLAIM, pin=pin, level=level, extra=Function.OUTPUT, number=1, stamp_ns=0)
        self.receive()

    def receive(self) -> list[tuple[Any, ...]]:
        data = self.socket.recv(READ_BYTES)
        return list(RECORD.iter_unpack(data)) if data else []

    def ended(self) -> bool:
        try:
            return self.socket.recv(READ_BYTES) == b""
        except ConnectionResetError:
            return True


def record(
    kind: int,
    pin: int = 0,
    level: int = 0,
    extra: int = 0,
    number: int = 0,
    stamp_ns: int | None = None,
    text: bytes = b"",
) -> bytes:
    stamp_ns = real_monotonic_ns() if stamp_ns is None else stamp_ns
    return RECORD.pack(kind, pin, level, extra, number, stamp_ns, 0, text)


def test_writes_of_two_programs_are_applied_in_the_order_of_their_stamps(
    bench: BenchProcess, bare: Callable[[bytes], Bare]
) -> None:
    """Also when the bench was away and finds a queue in either socket."""
    bench.control.call("inject", name="one_shot", stays="open")
    watch, motor = bare(b"guard"), bare(b"stepper")
    watch.claim(22, 1)
    motor.claim(17, 0)
    os.kill(bench.pid, signal.SIGSTOP)
    base_ns = real_monotonic_ns() - 1_000_000_000
    for place in range(40):  # ENABLE on, a step, ENABLE off, a step, and so on
        at_ns = base_ns + place * 1_000_000
        watch.send(Kind.WRITE, pin=22, level=place % 2, stamp_ns=at_ns)
    for place in range(40):
        at_ns = base_ns + place * 1_000_000 + 500_000
        motor.send(Kind.WRITE, pin=17, level=1, stamp_ns=at_ns)
        motor.send(Kind.WRITE, pin=17, level=0, stamp_ns=at_ns + 2_000)
    os.kill(bench.pid, signal.SIGCONT)
    until(lambda: bench.status()["edges_seen"] == 40)
    status = bench.status()
    assert (status["steps_forward"], status["edges_while_disabled"]) == (20, 20)


def test_alive_that_came_in_time_holds_the_gate_though_the_bench_was_away(
    bench: BenchProcess, bare: Callable[[bytes], "Bare"]
) -> None:
    watch, motor = bare(b"guard"), bare(b"stepper")
    watch.claim(23, 0)
    watch.claim(22, 1)
    motor.claim(17, 0)
    os.kill(bench.pid, signal.SIGSTOP)
    base_ns = real_monotonic_ns() - 2_000_000_000
    watch.send(Kind.WRITE, pin=22, level=0, stamp_ns=base_ns)
    for place in range(100):
        at_ns = base_ns + place * 20_000_000
        watch.send(Kind.WRITE, pin=23, level=1 - place % 2, stamp_ns=at_ns)
        motor.send(Kind.WRITE, pin=17, level=1, stamp_ns=at_ns + 19_000_000)
        motor.send(Kind.WRITE, pin=17, level=0, stamp_ns=at_ns + 19_002_000)
    os.kill(bench.pid, signal.SIGCONT)
    until(lambda: bench.status()["edges_seen"] == 100)
    assert bench.status()["steps_forward"] == 100


def test_who_asks_for_the_truth_sees_all_that_was_written_before(
    bench: BenchProcess, connect: Connect
) -> None:
    step = connect("stepper").outputs.pin(17)
    step.output_with_state(0)
    for place in range(1, 1_000):
        step.state = 1
        step.state = 0
        assert bench.status()["edges_sent"] == place


# ------------------------------------------------------------------ bad company


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(record(Kind.WRITE, pin=12, level=1, stamp_ns=1), id="a line it does not hold"),
        pytest.param(record(Kind.WRITE, pin=200, level=1, stamp_ns=1), id="a line there is not"),
        pytest.param(record(99, stamp_ns=1), id="a kind there is not"),
        pytest.param(record(Kind.LEVEL, pin=5, level=1, stamp_ns=1), id="the bench's own kind"),
        pytest.param(record(Kind.SAMPLE, pin=77, number=1, stamp_ns=1), id="no such channel"),
        pytest.param(record(Kind.HELLO, number=VERSION, stamp_ns=1), id="a second hello"),
        pytest.param(b"\xff" * RECORD_BYTES, id="noise"),
    ],
)
def test_a_program_that_breaks_the_rules_is_dropped_with_its_lines(
    bench: BenchProcess, bare: Callable[[bytes], Bare], connect: Connect, sent: bytes
) -> None:
    program = bare(b"careless")
    program.claim(17, 1)
    program.socket.sendall(sent + record(Kind.CLAIM, pin=22, extra=Function.OUTPUT, number=2))
    until(program.ended)
    until(lambda: names(bench) == [])
    assert bench.status()["levels"]["step"] == 0
    assert connect("next").outputs.pin(22) is not None


def test_a_record_may_come_in_pieces(bench: BenchProcess, bare: Callable[[bytes], Bare]) -> None:
    program = bare(b"slow")
    program.claim(12, 0)
    whole = record(Kind.WRITE, pin=12, level=1) + record(Kind.WRITE, pin=12, level=0) * 3
    for place in range(0, len(whole), 7):
        program.socket.sendall(whole[place : place + 7])
        bench.status()
    trace = bench.control.call("traces", last=9)["signals"]["buzzer"]
    assert [on for _, on in trace] == [True, False]


def test_what_was_pushed_before_a_line_became_an_output_does_not_change_it(
    connect: Connect,
) -> None:
    pin = connect("fickle").outputs.pin(5)
    pin.output_with_state(1)
    assert pin.take(0, 9) == (0, 0)
    assert pin.state == 1


def test_programs_come_and_go_by_the_hundred(bench: BenchProcess, connect: Connect) -> None:
    for _ in range(200):
        pins = connect("guest")
        pins.outputs.pin(12)
        pins.close()
    crowd: list[PinFactories] = []

    def crowd_in() -> None:
        while True:
            crowd.append(connect("crowd"))

    with pytest.raises(PinFault, match="bench-sim has gone"):
        crowd_in()
    assert len(names(bench)) == len(crowd) == 32
    assert len(os.listdir(f"/proc/{bench.pid}/fd")) < 50


# ------------------------------------------------------------------ load


def test_it_sustains_two_thousand_writes_a_second_and_shows_each_edge_soon(
    bench: BenchProcess, connect: Connect
) -> None:
    guarding, stepping = connect("guard"), connect("stepper")
    watch = guard(guarding)
    counter = watch.counter
    assert counter is not None
    watch.enable.set(active=True)
    step = stepping.outputs.pin(17)
    step.output_with_state(0)
    late_ns = []
    ticks = os.sysconf("SC_CLK_TCK")
    used = cpu_s(bench.pid, ticks)
    began = time.monotonic()
    edges = 1_500
    for place in range(edges):
        if place % 20 == 0:
            watch.alive.set(active=place % 40 == 0)
        sent_ns = real_monotonic_ns()
        step.state = 1
        step.state = 0
        while counter.count() <= place:
            assert guarding.fileno is not None
            select.select([guarding.fileno], [], [], 1)
        late_ns.append(real_monotonic_ns() - sent_ns)
        time.sleep(max(0.0, began + (place + 1) * 0.001 - time.monotonic()))
    spent_s = time.monotonic() - began
    share = (cpu_s(bench.pid, ticks) - used) / spent_s
    late_ns.sort()
    status = bench.status()
    assert status["edges_seen"] == status["readback_edges"] == edges
    assert late_ns[edges // 2] < 5_000_000  # 0.12 ms on a quiet machine
    assert share < 0.5  # 0.08 on a quiet machine
    watch.close()


def cpu_s(pid: int, ticks: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def test_edges_keep_their_stamps(
    bench: BenchProcess, started: Callable[[str], subprocess.Popen[str]]
) -> None:
    started(STEPPER)
    until(lambda: bool(bench.status()["edges_seen"] > 200))
    trace = bench.control.call("traces", last=300)["step"]
    rises = [at_ns for at_ns, level in trace if level]
    falls = [at_ns for at_ns, level in trace if not level]
    assert [level for _, level in trace] == [place % 2 for place in range(*parity(trace))]
    assert min(later - at for at, later in pairwise(rises)) >= 1_000_000
    assert len(falls) >= 100
    assert bench.status()["short_pulses"] == 0


def parity(trace: list[list[int]]) -> tuple[int, int]:
    return trace[0][1], trace[0][1] + len(trace)
