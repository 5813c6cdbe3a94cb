#!/usr/bin/env python3
"""Write ``docs/alarms.md``: what lamps and buzzer do, measured at the simulated pins.

    tools/alarm_signals.py            writes the page
    tools/alarm_signals.py --check    says whether it is as it would be written

The real engine and guard raise one alarm of each priority on the virtual bench; the plant records
every change of the pins, and this program takes frequency, duty and pattern from that record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from appliance.domain.alarms import TABLE
from appliance.simulate.bench import VirtualBench
from drivers.mock.settings import Wire

PAGE = Path(__file__).resolve().parents[1] / "docs/alarms.md"
_MS = 1_000_000
_BETWEEN_BURSTS_MS = 1_000


@dataclass(frozen=True, slots=True)
class Measured:
    """What one priority did: all times in ms from the fault on, frequencies in Hz."""

    lamp_after_ms: float
    sound_after_ms: float
    flash_hz: tuple[float, float] | None
    duty: tuple[float, float]
    pulses: tuple[int, int]
    pulse_ms: tuple[float, float]
    spacing_ms: tuple[float, float]
    repeat_s: tuple[float, float]


def _occlude(bench: VirtualBench) -> None:
    bench.force(12_500)


def _run_low(left_uu: int) -> Callable[[VirtualBench], None]:
    def run(bench: VirtualBench) -> None:
        bench.ask("suspend")
        bench.ask("cartridge.load", amount_uu=left_uu)

    return run


ROWS: tuple[tuple[str, Wire, str, Callable[[VirtualBench], None], tuple[str, ...]], ...] = (
    ("high", Wire.LAMP_HIGH, "Occlusion", _occlude,
     ("red, 1.4 to 2.8 Hz, 20 to 80 %", "10", "75 to 200", "50 to 125 in a group", "2.5 to 15")),
    ("medium", Wire.LAMP_MEDIUM, "Very low reservoir", _run_low(5_000_000),
     ("yellow, 0.4 to 0.8 Hz, 20 to 60 %", "3", "125 to 250", "125 to 250", "2.5 to 30")),
    ("low", Wire.LAMP_LOW, "Low reservoir", _run_low(15_000_000),
     ("cyan or yellow, constant", "1 to 2", "125 to 250", "125 to 250", "15 or more")),
)  # fmt: skip


def measure(lamp: Wire, fault: Callable[[VirtualBench], None]) -> Measured:
    """Have a fault, let the signals go on for a while, and measure them."""
    bench = VirtualBench(basal_uu_per_h=0)
    try:
        since_ns = bench.now_ns
        fault(bench)
        bench.run(46)
        light = _spans(bench, lamp, since_ns)
        bursts = _bursts(_spans(bench, Wire.BUZZER, since_ns))
    finally:
        bench.close()
    flashes = [(b[0] - a[0], a[1] - a[0]) for a, b in pairwise(light)]
    whole = bursts[:-1]
    gaps = [b[0] - a[1] for burst in whole for a, b in pairwise(burst)]
    in_group = [gap for gap in gaps if gap < 2 * min(gaps)]
    return Measured(
        light[0][0],
        bursts[0][0][0],
        _ends([1_000 / period for period, _ in flashes]) if flashes else None,
        _ends([on / period for period, on in flashes]) if flashes else (1.0, 1.0),
        (min(map(len, whole)), max(map(len, whole))),
        _ends([b - a for burst in whole for a, b in burst]),
        _ends(in_group),
        _ends([(b[0][0] - a[0][0]) / 1_000 for a, b in pairwise(bursts)]),
    )


def _ends(numbers: Sequence[float]) -> tuple[float, float]:
    return min(numbers), max(numbers)


def _spans(bench: VirtualBench, wire: Wire, since_ns: int) -> list[tuple[float, float]]:
    trace = [(at, on) for at, on in bench.plant.signal_trace[wire] if at >= since_ns]
    ends = [at for at, _ in [*trace, (bench.now_ns, False)][1:]]
    return [
        ((at - since_ns) / _MS, (end - since_ns) / _MS)
        for (at, on), end in zip(trace, ends, strict=True)
        if on
    ]


def _bursts(pulses: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    found: list[list[tuple[float, float]]] = []
    for pulse in pulses:
        if not found or pulse[0] - found[-1][-1][1] > _BETWEEN_BURSTS_MS:
            found.append([])
        found[-1].append(pulse)
    return found


def _text(ends: tuple[float, float], digits: int = 0) -> str:
    low, high = (f"{one:.{digits}f}" for one in ends)
    return low if low == high else f"{low} to {high}"


_HEAD = """# Alarm signals, measured

Written by `tools/alarm_signals.py`: one alarm of each priority on the virtual bench, raised by the
real engine and shown by the real guard, and every change of the pins of lamps and buzzer as the
plant saw it over 46 s. Under each row of figures stand those of IEC 60601-1-8. The buzzer has one
tone: the standard's melodies and harmonics need another part, its pattern does not. What each alarm
means and what to do: [guide](guide.md#alarms).
""".splitlines()
_COLUMNS = (
    "priority",
    "light",
    "pulses in a burst",
    "pulse, ms",
    "spacing, ms",
    "a burst every, s",
    "fault to light and sound, ms",
)
_FOOT = """
Unanswered for 10 min an alarm is signalled one priority higher; a high one then has its burst twice
as often. A pause silences the buzzer for 120 s at most, and the lamp goes on.

| priority | alarms |
|---|---|""".splitlines()


def page() -> str:
    """Return the page."""
    lines = [*_HEAD, f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
    for name, lamp, alarm, fault, standard in ROWS:
        found = measure(lamp, fault)
        light = "constant"
        if found.flash_hz is not None:
            duty = (found.duty[0] * 100, found.duty[1] * 100)
            light = f"{_text(found.flash_hz, 2)} Hz, {_text(duty)} % on"
        cells = (
            f"**{name}** ({alarm})",
            light,
            _text(found.pulses),
            _text(found.pulse_ms),
            _text(found.spacing_ms),
            _text(found.repeat_s, 1),
            f"{found.lamp_after_ms:.0f}, {found.sound_after_ms:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
        lines.append(f"| the standard | {' | '.join(standard)} | (SR-49: 500) |")
    lines += _FOOT
    for priority in ("high", "medium", "low"):
        names = sorted(
            f"{code.value} {kind.name}"
            for code, kind in TABLE.items()
            if kind.priority.name.lower() == priority
        )
        lines.append(f"| {priority} | {', '.join(names)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or compare it."""
    text = page()
    if sys.argv[1:] == ["--check"]:
        same = PAGE.read_text() == text
        print("docs/alarms.md is " + ("as written" if same else "not: run tools/alarm_signals.py"))
        return 0 if same else 1
    PAGE.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
