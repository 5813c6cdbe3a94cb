"""What lamps and buzzer really do, measured at the simulated pins against IEC 60601-1-8.

The real engine and guard drive the pins of the bench; the plant records every transition. Figures
here are those of the standard, not of the program.
"""

import importlib.util
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.simulate.bench import VirtualBench
from drivers.mock.settings import Wire

MS = 1_000_000
LAMPS = (Wire.LAMP_HIGH, Wire.LAMP_MEDIUM, Wire.LAMP_LOW)


@dataclass(frozen=True)
class Standard:
    """One row of the standard's two tables, in ms and Hz."""

    lamp: Wire
    flash_hz: tuple[float, float] | None
    duty: tuple[float, float]
    pulses: tuple[int, int]
    pulse_ms: tuple[int, int]
    spacing_ms: tuple[int, int]
    repeat_ms: tuple[int, int]


HIGH = Standard(
    Wire.LAMP_HIGH, (1.4, 2.8), (0.2, 0.8), (10, 10), (75, 200), (50, 125), (2_500, 15_000)
)
MEDIUM = Standard(
    Wire.LAMP_MEDIUM, (0.4, 0.8), (0.2, 0.6), (3, 3), (125, 250), (125, 250), (2_500, 30_000)
)
LOW = Standard(Wire.LAMP_LOW, None, (1, 1), (1, 2), (125, 250), (125, 250), (15_000, 10**9))


def raise_alarm(bench: VirtualBench, row: Standard) -> None:
    if row is HIGH:
        bench.force(12_500)
    else:
        bench.ask("cartridge.load", amount_uu=5_000_000 if row is MEDIUM else 15_000_000)


def on_spans(bench: VirtualBench, wire: Wire, since_ns: int) -> list[tuple[float, float]]:
    """Return when a signal was on since an instant, in ms after it."""
    trace = [(at, on) for at, on in bench.plant.signal_trace[wire] if at >= since_ns]
    ends = [at for at, _ in [*trace, (bench.now_ns, False)][1:]]
    return [
        ((at - since_ns) / MS, (end - since_ns) / MS)
        for (at, on), end in zip(trace, ends, strict=True)
        if on
    ]


def bursts(pulses: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Return the pulses in groups: a silence of more than 1 s is between two bursts."""
    found: list[list[tuple[float, float]]] = []
    for pulse in pulses:
        if not found or pulse[0] - found[-1][-1][1] > 1_000:
            found.append([])
        found[-1].append(pulse)
    return found


@pytest.mark.parametrize("row", [HIGH, MEDIUM, LOW], ids=["high", "medium", "low"])
def test_sr_48_sr_49_light_and_sound_at_the_pins_are_those_of_the_standard(row: Standard) -> None:
    bench = VirtualBench(basal_uu_per_h=0, sensors_ms=0)
    bench.ask("suspend") if row is not HIGH else None
    since_ns = bench.now_ns
    raise_alarm(bench, row)
    bench.run(41 if row is MEDIUM else 31)
    light = on_spans(bench, row.lamp, since_ns)
    assert light[0][0] <= 500  # from the fault to the lamp
    assert [on_spans(bench, wire, since_ns) for wire in LAMPS if wire is not row.lamp] == [[], []]
    if row.flash_hz is None:
        assert len(light) == 1
    else:
        periods_ms = [b[0] - a[0] for a, b in pairwise(light)]
        assert all(row.flash_hz[0] <= 1_000 / one <= row.flash_hz[1] for one in periods_ms)
        duties = [(b - a) / one for (a, b), one in zip(light, periods_ms, strict=False)]
        assert all(row.duty[0] <= one <= row.duty[1] for one in duties)
        assert len(duties) >= 10
    heard = bursts(on_spans(bench, Wire.BUZZER, since_ns))
    assert heard[0][0][0] <= 500  # and to the sound
    assert len(heard) >= 2
    for burst in heard[:-1]:
        assert row.pulses[0] <= len(burst) <= row.pulses[1]
        assert all(row.pulse_ms[0] <= b - a <= row.pulse_ms[1] for a, b in burst)
        gaps = [b[0] - a[1] for a, b in pairwise(burst)]
        in_group = [one for one in gaps if row is not HIGH or one < 150]
        assert all(row.spacing_ms[0] <= one <= row.spacing_ms[1] for one in in_group)
        if row is HIGH:  # 3 and 2, a pause, 3 and 2
            groups = "".join("." if one < 150 else " " if one < 300 else "|" for one in gaps)
            assert groups == ".. .|.. ."
    repeats_ms = [b[0][0] - a[0][0] for a, b in pairwise(heard)]
    assert all(row.repeat_ms[0] <= one <= row.repeat_ms[1] for one in repeats_ms)
    bench.close()


def test_the_page_of_alarm_signals_is_what_the_pins_do() -> None:
    path = Path(__file__).parents[2] / "tools/alarm_signals.py"
    spec = importlib.util.spec_from_file_location("alarm_signals", path)
    assert spec is not None
    assert spec.loader is not None
    tool = sys.modules.setdefault("alarm_signals", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text() == tool.page(), "run tools/alarm_signals.py"


def test_sr_50_a_pause_silences_the_buzzer_for_120_s_while_the_lamp_goes_on() -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    bench.force(12_500)
    bench.run(3)
    assert bench.ask("alarms.silence")["paused_left_s"] == 120
    since_ns = bench.now_ns
    bench.run(125)
    heard = on_spans(bench, Wire.BUZZER, since_ns)
    assert 119_900 <= heard[0][0] <= 120_200
    lit = on_spans(bench, Wire.LAMP_HIGH, since_ns)
    assert len(lit) > 240
    bench.close()


def test_sr_53_a_check_shows_every_lamp_in_turn_and_then_sounds() -> None:
    bench = VirtualBench(basal_uu_per_h=0, set_up=False, signals="person")
    since_ns = bench.now_ns
    bench.ask("signals.check")
    bench.run(5)
    starts_ms = [on_spans(bench, wire, since_ns)[0][0] for wire in (*LAMPS, Wire.BUZZER)]
    assert starts_ms == sorted(starts_ms)
    assert len(on_spans(bench, Wire.BUZZER, since_ns)) == 3
    assert all(len(on_spans(bench, wire, since_ns)) == 1 for wire in LAMPS)
    assert not any(bench.plant.status(bench.now_ns)["signals"].values())
    bench.close()


@pytest.mark.parametrize("lost", ["buzzer_dead", "lamp_dead"])
def test_sr_54_f64_a_dead_buzzer_or_lamp_blocks_new_boluses_and_nothing_else(lost: str) -> None:
    bench = VirtualBench(basal_uu_per_h=1_000_000, sensors_ms=50)
    bench.plant.inject(lost, {}, bench.now_ns)
    bench.ask("signals.check")
    bench.run(5)
    alarm = bench.snapshot()["alarms"][0]
    assert (alarm["name"], alarm["priority"]) == ("Light or sound is lost", "medium")
    review = bench.ask(
        "bolus.review",
        request_id="00000000-0000-4000-8000-00000000000c",
        amount_uu=500_000,
        speed="normal",
    )
    assert [one["code"] for one in review["reasons"]] == ["signals_lost"]
    assert bench.state == "running"  # basal goes on; stop and history still work
    bench.plant.clear(lost, bench.now_ns)
    bench.ask("alarms.acknowledge", number=None)
    bench.ask("signals.check")
    bench.run(5)
    bench.bolus("0.5")
    bench.close()
