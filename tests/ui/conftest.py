"""The touchscreen's tests: one process, one window, one demo on the simulated bench for most."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_harness import RunningDemo
from reruns import HostWatch, Reruns
from touch import Hands, kiosk_on
from ui_pump import a_demo, put_right


def pytest_configure(config: pytest.Config) -> None:
    """Have what a standing computer took the ground from run again, as with the other programs."""
    config.pluginmanager.register(Reruns(Path(__file__).parent, HostWatch()), "reruns-ui")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with a_demo(tmp_path_factory.mktemp("pump") / "demo") as running:
        yield running


@pytest.fixture
def rested(demo: RunningDemo) -> RunningDemo:
    """The demo, delivering, with nothing in its way: no alarm, no bolus, no fault."""
    put_right(demo)
    return demo


@pytest.fixture
def hands(rested: RunningDemo) -> Iterator[Hands]:
    """A person in front of the first screen."""
    with kiosk_on(rested.places) as one:
        one.sees_screen("home")
        one.settles()
        yield one
