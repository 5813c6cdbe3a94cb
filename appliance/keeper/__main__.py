"""``pump-keeper``: history over a socket of its own, whether or not ``pumpd`` lives."""

from __future__ import annotations

import argparse
import logging
import os
import pwd
import queue
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from appliance import __version__
from appliance.adapters.clock import Start, SystemClock, real_monotonic_ns
from appliance.adapters.notify import Notifier
from appliance.adapters.server import Answer, Done, Failed, Refused, Server, roles_by_uid
from appliance.client.messages import KEEPER_METHODS, HistoryParams, Role
from appliance.client.wire import Code
from appliance.config import Config, load
from appliance.errors import BadConfiguration, LedgerFault, PumpError
from appliance.keeper.history import History
from appliance.keeper.nightly import NightlyThread, full_check

_log = logging.getLogger("pump-keeper")
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Job = tuple[HistoryParams, Callable[[Answer], None]]


class Desk(threading.Thread):
    """Answers what is asked, one page after the other: the disk may be slow, the server may not."""

    def __init__(self, history: History, died: Callable[[BaseException], None]) -> None:
        super().__init__(name="history")
        self._history = history
        self._died = died
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    def request(
        self,
        _connection: int,
        _uid: int,
        _method: str,
        params: BaseModel,
        answer: Callable[[Answer], None],
    ) -> None:
        """Queue a page, on the server's thread."""
        if not isinstance(params, HistoryParams):
            raise TypeError(f"{type(params).__name__} belongs to no method of the keeper")
        self._jobs.put((params, answer))

    def urgent(self, _connection: int, _uid: int, _method: str, _params: BaseModel) -> None:
        """Nothing that the keeper does is urgent."""

    def gone(self, _connection: int) -> None:
        """Nothing that the keeper does outlives its answer."""

    def end(self) -> None:
        """Answer what is queued, and end."""
        self._jobs.put(None)
        self.join()

    def run(self) -> None:
        """Work the queue. A bug here ends the program."""
        try:
            while (job := self._jobs.get()) is not None:
                params, answer = job
                answer(self._page(params))
            self._history.close()
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)

    def _page(self, params: HistoryParams) -> Answer:
        try:
            return Done(self._history.page(**params.model_dump()))
        except LedgerFault as fault:
            return Failed(fault.code, str(fault))
        except ValueError as error:
            return Refused([{"code": Code.BAD_PARAMETERS, "text": str(error)}])


def serve(config: Config, clock: SystemClock) -> None:
    """Serve until a signal asks for the end. Raises PumpError or OSError where it cannot begin."""
    ledger, guard = config.paths.state / "ledger.db", config.paths.runtime / "guard.sock"
    desk = Desk(History(ledger), _died)
    nightly = NightlyThread(lambda: full_check(ledger, guard), _died)
    bench = config.pins.factory == "bench"

    def hello() -> Mapping[str, Any]:
        return {
            "pump": config.pump.name,
            "version": __version__,
            "speed": clock.speed,
            "bench": bench,
            "utc_ns": clock.read().utc_ns,
        }

    server = Server(
        config.paths.runtime / "keeper.sock",
        KEEPER_METHODS,
        roles=roles_by_uid({Role.OBSERVE: _observers(config)}, os.geteuid() if bench else None),
        handler=desk,
        now_ns=real_monotonic_ns,
        hello=hello,
        died=_died,
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # in every thread; this one waits for them
    server.start()
    desk.start()
    nightly.start()
    notifier = Notifier()
    notifier.say("READY=1")
    signal.sigwait(_ENDS)
    notifier.say("STOPPING=1")
    nightly.end()
    server.close()
    desk.end()


def _observers(config: Config) -> set[int]:
    """Return the uids that may read. Raises BadConfiguration for names that nobody has."""
    uids, faults = set(), []
    for user in config.users.observe:
        try:
            uids.add(user if isinstance(user, int) else pwd.getpwnam(user).pw_uid)
        except KeyError:
            faults.append(f"users.observe = {user!r}: no such user on this machine")
    if faults:
        raise BadConfiguration("users", faults)
    return uids


def _died(error: BaseException) -> None:
    _log.critical("a thread died: %s: %s", type(error).__name__, error, exc_info=error)
    os._exit(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the keeper; status 0 after SIGTERM, 2 for a bad configuration, 1 for anything else."""
    parser = argparse.ArgumentParser(prog="pump-keeper", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the machine's configuration")
    parser.add_argument("--clock-file", type=Path, help="the demo's start instant and speed")
    words = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(levelname)s: %(message)s")
    try:
        config, _ = load(words.config)
        start = Start.load(words.clock_file) if words.clock_file else None
        serve(config, SystemClock(config.pump.zone, start))
    except BadConfiguration as fault:
        for text in fault.faults:
            _log.error("%s: %s", fault.source, text)
        return 2
    except PumpError as fault:
        _log.error("%s: %s", fault.code, fault)
        return 1
    except OSError as error:
        _log.error("%s: %s", error.filename or config.paths.runtime, error.strerror)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
