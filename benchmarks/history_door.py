"""The answering part of ``pump-keeper`` over a ledger that no pump writes: history, and no jobs.

    python -m benchmarks.history_door LEDGER SOCKET

Says READY once it answers, and ends with its input.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.adapters.clock import SystemClock, real_monotonic_ns
from appliance.adapters.server import Server, roles_by_uid
from appliance.client.messages import KEEPER_METHODS, Role
from appliance.keeper.__main__ import Desk
from appliance.keeper.history import History
from appliance.keeper.rollup import Rollup


def main(ledger: Path, door: Path) -> int:
    """Serve until the input ends."""

    def died(error: BaseException) -> None:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(1)

    def hello() -> Mapping[str, Any]:
        said = {"pump": "Ten years", "version": __version__, "speed": 1, "bench": True}
        return {**said, "utc_ns": clock.read().utc_ns}

    clock = SystemClock("UTC", None)
    with tempfile.TemporaryDirectory() as folder:
        # Its own sums are of no ledger: what is measured is a list, and nothing is to be caught up.
        own = Rollup(Path(folder) / "keeper.db", Path(folder) / "none.db")
        desk = Desk(History(ledger), own, clock, died)
        server = Server(
            door,
            KEEPER_METHODS,
            roles=roles_by_uid({Role.OBSERVE: ()}, os.geteuid()),
            handler=desk,
            now_ns=real_monotonic_ns,
            hello=hello,
            died=died,
        )
        server.start()
        desk.start()
        print("READY", flush=True)
        sys.stdin.read()
        server.close()
        desk.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
