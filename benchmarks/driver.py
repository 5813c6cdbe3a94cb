"""What the STEP/DIR driver adds to gpiozero's two pin writes, and whether anything grows."""

from __future__ import annotations

import resource
import time
import tracemalloc

from gpiozero import OutputDevice
from gpiozero.pins.mock import MockFactory

from benchmarks.report import Result, percentile
from drivers.gpio import PinFactories
from drivers.mock.mock_bench import QuietPin
from drivers.step_dir import StepDirAxis

_MANY = 2**50


def _axis() -> StepDirAxis:
    mock = MockFactory(pin_class=QuietPin)
    axis = StepDirAxis(
        PinFactories(mock, mock),
        step=17,
        direction=27,
        now_ns=time.monotonic_ns,
        min_interval_ns=0,
        pulse_ns=0,
        setup_ns=0,
    )
    axis.allow(_MANY)
    return axis


def cost(*, quick: bool) -> list[Result]:
    """A microstep through the driver beside a bare ``on()`` and ``off()``, interleaved."""
    rounds, steps = (20, 2_000) if quick else (60, 10_000)
    axis = _axis()
    bare = OutputDevice(22, pin_factory=MockFactory(pin_class=QuietPin))
    ours_ns, bare_ns = [], []
    for _ in range(rounds):
        begun_ns = time.perf_counter_ns()
        for _ in range(steps):
            axis.step()
        middle_ns = time.perf_counter_ns()
        for _ in range(steps):
            bare.on()
            bare.off()
        ours_ns.append((middle_ns - begun_ns) // steps)
        bare_ns.append((time.perf_counter_ns() - middle_ns) // steps)
    ours, floor = percentile(ours_ns, 0.5), percentile(bare_ns, 0.5)
    return [
        Result(
            "driver",
            f"a microstep through the driver, median of {rounds} rounds of {steps:,}",
            f"{ours:,} ns",
            "",
            f"{floor:,} ns (bare on() and off())",
            f"{ours / floor:.2f}x limit",
            "<= 1.5x limit",
            ours <= 1.5 * floor,
            "mock pins; the driver also checks its budget and the motor's interval, twice",
        )
    ]


def growth(*, quick: bool) -> list[Result]:
    """What a million edges leave behind."""
    edges = 100_000 if quick else 1_000_000
    axis = _axis()
    for _ in range(1_000):
        axis.step()
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(edges // 2):
        axis.step()
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kb
    tracemalloc.start()
    axis.step()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(edges // 10):
        axis.step()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    grown = after - before
    return [
        Result(
            "growth",
            f"memory that {edges:,} edges leave behind",
            f"{peak_kb} KiB; {grown} bytes traced",
            "+90 MiB (MockPin's list of states)",
            "0",
            "",
            "0",
            peak_kb == 0 and grown <= 512,
            "traced over a tenth of them; a few hundred bytes are the numbers that live now",
        )
    ]
