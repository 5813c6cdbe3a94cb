"""The pytest fixture ``bench``: a whole pump on a virtual clock, for your own tests.

Real engine, stepper, guard and plant in one thread; nothing sleeps, and every run is the same. See
``docs/examples/test_a_pump.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.simulate.bench import VirtualBench


@pytest.fixture
def bench() -> Iterator[VirtualBench]:
    """A pump that is set up, has passed its self-test, and delivers 1 U/h of basal."""
    one = VirtualBench()
    yield one
    one.close()


@pytest.fixture
def new_bench() -> type[VirtualBench]:
    """The class, for a test that needs another syringe, basal rate or ledger."""
    return VirtualBench
