"""What buzzer and lamps really draw, where a machine can tell: so far the simulated bench."""

from __future__ import annotations

from collections.abc import Callable

from drivers.bench_wire import Channel
from drivers.gpio import PinFactories


def alarm_feedback(factory: str, factories: PinFactories) -> Callable[[], int | None] | None:
    """Return what reads the flags 1 buzzer, 2, 4 and 8 lamp high, medium, low, or None.

    The reading raises PinFault where the bench does not answer.
    """
    if factory != "bench":
        return None
    sample: Callable[[Channel], int | None] = factories.inputs.sample
    return lambda: sample(Channel.ALARM_FEEDBACK)
