"""The real programs in real time: what a standing computer took the ground from runs again."""

from pathlib import Path

import pytest
from reruns import HostWatch, Reruns


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Reruns(Path(__file__).parent, HostWatch()), "reruns")
