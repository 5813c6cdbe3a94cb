"""The pump that the touchscreen's tests touch: the real programs on the simulated bench."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from demo_harness import RunningDemo, running_demo, wait_for

from appliance.client import NoPump, OutcomeUnknown, PumpFailed, Refused, new_request_id

SPEED = 10
"""Boluses and intervals pass ten times as fast; fingers, contact and beats do not."""


@contextmanager
def a_demo(folder: Path) -> Iterator[RunningDemo]:
    """Run a demo with wide limits, and stop it at the end."""
    # No stop button: the touchscreen's heartbeat is all that lets a bolus run (SR-59).
    edit = lambda text: text.replace("stop_button = true", "stop_button = false")  # noqa: E731
    with running_demo(folder, speed=SPEED, edit=edit) as running:
        yield running


def put_right(demo: RunningDemo) -> None:
    """Take away every fault, answer every alarm, end a bolus, and have the pump deliver."""
    demo.bench("clear", name="all")
    last: list[object] = []

    def ready() -> bool:
        with told(last), demo.pump() as pump:
            if pump.status().bolus is not None:
                pump.stop("bolus")
            pump.acknowledge(None)
            with suppress(Refused):
                pump.rearm()  # tests of faults are alarm after alarm
            if pump.status().state == "running" or pump.resume() == "running":
                # Two boluses keep their distance: what is begun now is not refused for that.
                against = pump.review(new_request_id(), 110_000).reasons
                last[:] = against
                return not against
        return False

    try:
        wait_for(ready, "the pump delivers", 40)
    except pytest.fail.Exception as late:
        pytest.fail(f"{late}; it said last: {last}")


@contextmanager
def told(last: list[object]) -> Iterator[None]:
    """Keep in ``last`` what the pump had against a request, instead of a failure."""
    try:
        yield
    except (NoPump, OutcomeUnknown, PumpFailed) as failed:
        last[:] = [failed]
    except Refused as refused:
        last[:] = refused.reasons
