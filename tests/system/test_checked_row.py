"""The row that a full check has passed, in the real guard's file."""

import contextlib
import os
import signal
from pathlib import Path

from demo_harness import RunningDemo, wait_for

from appliance.adapters.guard_door import ask_for_checked_row, name_checked_row
from appliance.errors import WireLost


def test_sr_41_the_checked_row_outlives_the_guard_that_was_told(tmp_path: Path) -> None:
    demo = RunningDemo(tmp_path / "D", speed=60).start()
    try:
        door = demo.folder / "run" / "guard.sock"
        assert ask_for_checked_row(door) is None
        row = (12, bytes(range(32)))
        name_checked_row(door, row)
        wait_for(lambda: ask_for_checked_row(door) == row, "the guard knows the row")
        assert demo.status().state == "running"  # a visit is no part of delivery
        os.kill(demo.pid("pump-guard"), signal.SIGKILL)

        def remembered() -> bool:
            with contextlib.suppress(WireLost):
                return ask_for_checked_row(door) == row
            return False

        wait_for(remembered, "the next guard knows the row from its file", 30.0)
    finally:
        demo.stop()
