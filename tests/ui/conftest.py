"""The touchscreen's tests: one process, one window, one demo on the simulated bench for all."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from demo_harness import RunningDemo, wait_for
from reruns import HostWatch, Reruns
from touch import Hands, kiosk_on

from appliance.client import NoPump, OutcomeUnknown, PumpFailed, Refused, new_request_id

SPEED = 10
"""Boluses and intervals pass ten times as fast; fingers, contact and beats do not."""


def pytest_configure(config: pytest.Config) -> None:
    """Have what a standing computer took the ground from run again, as with the other programs."""
    config.pluginmanager.register(Reruns(Path(__file__).parent, HostWatch()), "reruns-ui")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    folder: Path = tmp_path_factory.mktemp("pump") / "demo"
    # No stop button: the touchscreen's heartbeat is all that lets a bolus run (SR-59).
    edit = lambda text: text.replace("stop_button = true", "stop_button = false")  # noqa: E731
    running = RunningDemo(folder, speed=SPEED, edit=edit)
    try:
        running.start()
        running.widen()
        yield running
    finally:
        running.stop()


@pytest.fixture
def rested(demo: RunningDemo) -> RunningDemo:
    """The demo, delivering, with nothing in its way: no alarm, no bolus, no fault."""
    demo.bench("clear", name="all")

    def ready() -> bool:
        with suppress(NoPump, OutcomeUnknown, PumpFailed, Refused), demo.pump() as pump:
            if pump.status().bolus is not None:
                pump.stop("bolus")
            pump.acknowledge(None)
            with suppress(Refused):
                pump.rearm()  # tests of faults are alarm after alarm
            if pump.status().state == "running" or pump.resume() == "running":
                # Two boluses keep their distance: what is begun now is not refused for that.
                return pump.review(new_request_id(), 110_000).token is not None
        return False

    wait_for(ready, "the pump delivers", 40)
    return demo


@pytest.fixture
def hands(rested: RunningDemo) -> Iterator[Hands]:
    """A person in front of the first screen."""
    with kiosk_on(rested.places) as one:
        one.sees_screen("home")
        one.settles()
        yield one
