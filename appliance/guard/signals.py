"""Light and sound by IEC 60601-1-8, as functions of time: what is on at an instant.

A plain buzzer cannot give the standard's harmonics, so the rhythm alone carries the priority.
Figures are inside the standard's ranges: HIGH 2 Hz at half duty and ten pulses, MEDIUM 0.5 Hz and
three pulses, LOW a constant light and two pulses.
"""

from __future__ import annotations

HIGH, MEDIUM, LOW = 3, 2, 1
_MS = 1_000_000

_LIGHT_MS = {HIGH: (500, 250), MEDIUM: (2_000, 800)}  # period, on
_SOUND_MS: dict[int, tuple[int, tuple[int, ...], int]] = {
    # repeat, starts of the pulses, length of a pulse
    HIGH: (10_000, (0, 225, 450, 800, 1_025, 1_500, 1_725, 1_950, 2_300, 2_525), 150),
    MEDIUM: (20_000, (0, 400, 800), 200),
    LOW: (30_000, (0, 400), 200),
}


PAUSE_MS = 120_000
"""The longest pause of the sound; there is no way to switch it off."""

_CHECK_LAMP_MS = 800
_CHECK_SOUND_MS = (2_400, 2_800, 3_200)
_CHECK_PULSE_MS = 200
CHECK_MS = 3_600
"""How long the light-and-sound check takes: three lamps in turn, then three pulses."""


def check_shows(since_ns: int) -> tuple[int, bool]:
    """Return which lamp (0: none) and sound are on ``since_ns`` real ns after a check began."""
    at_ms = since_ns // _MS
    place = at_ms // _CHECK_LAMP_MS
    lamp = (HIGH, MEDIUM, LOW)[place] if place < 3 else 0
    return lamp, any(one <= at_ms < one + _CHECK_PULSE_MS for one in _CHECK_SOUND_MS)


def lamp_is_on(priority: int, since_ns: int) -> bool:
    """Say whether the lamp of ``priority`` shines ``since_ns`` real ns after the alarm began."""
    if priority not in _LIGHT_MS:
        return priority == LOW
    period_ms, on_ms = _LIGHT_MS[priority]
    return since_ns // _MS % period_ms < on_ms


def buzzer_is_on(priority: int, since_ns: int, *, urgent: bool = False) -> bool:
    """Say whether the buzzer sounds ``since_ns`` real ns after the alarm began."""
    if priority not in _SOUND_MS:
        return False
    repeat_ms, starts_ms, length_ms = _SOUND_MS[priority]
    if urgent:
        repeat_ms //= 2
    at_ms = since_ns // _MS % repeat_ms
    return any(start <= at_ms < start + length_ms for start in starts_ms)
