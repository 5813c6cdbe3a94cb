"""``pump-keeper``: history over a socket of its own, whether or not ``pumpd`` lives."""

from __future__ import annotations

import argparse
import logging
import os
import pwd
import queue
import signal
import sqlite3
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
from appliance.client.messages import (
    KEEPER_METHODS,
    DaysParams,
    GraphParams,
    HistoryParams,
    KeeperExportParams,
    KeeperRunParams,
    Role,
    Snapshot,
)
from appliance.client.pump import PumpClient
from appliance.client.wire import Code
from appliance.config import Config, load
from appliance.domain.units import format_dose
from appliance.errors import BadConfiguration, LedgerFault, PumpError
from appliance.keeper.history import History
from appliance.keeper.jobs import ON_REQUEST, Housekeeper, Job, JobBook
from appliance.keeper.links import Link, LinkThread
from appliance.keeper.links.metrics import Prometheus
from appliance.keeper.links.upload import NightscoutUpload
from appliance.keeper.nightly import back_up, clear_out, full_check
from appliance.keeper.queries import Queries, date_of, day_number
from appliance.keeper.rollup import Followed, Look, Rollup, day_of, not_followed
from appliance.keeper.settings import KeeperSettings
from appliance.keeper.settings import read as read_settings
from appliance.keeper.sources import Place, make
from appliance.keeper.sources.feeding import Feeder, FeederThread, giving_to
from appliance.keeper.take_away import HERE, take_away, targets, write_report

_log = logging.getLogger("pump-keeper")
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Question = tuple[str, BaseModel, Callable[[Answer], None]]
_IDLE_S = 2.0
_WATCH_S = 2.0
_SUM_S = 120.0
_LEVELS = {True: logging.WARNING, False: logging.DEBUG}
_SLICES = 4
"""How many batches of new rows one answer waits for; beyond them it says so."""


class Desk(threading.Thread):
    """Answers what is asked, one after the other: the disk may be slow, the server may not.

    The keeper's own database follows the ledger here too: before each answer that needs it, and
    while nothing is asked.
    """

    def __init__(
        self,
        history: History,
        rollup: Rollup,
        clock: SystemClock,
        died: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="history")
        self._history = history
        self._clock = clock
        self._died = died
        self._own = rollup
        self._behind = True
        self._told = ""
        self.house: Housekeeper | None = None
        self.own = Path()
        self.target = HERE
        self.feeders: list[Feeder] = []
        self.links: list[LinkThread] = []
        self._jobs: queue.SimpleQueue[Question | None] = queue.SimpleQueue()

    def request(
        self,
        _connection: int,
        _uid: int,
        method: str,
        params: BaseModel,
        answer: Callable[[Answer], None],
    ) -> None:
        """Queue a question, on the server's thread."""
        self._jobs.put((method, params, answer))

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
            while True:
                try:
                    job = self._jobs.get(timeout=0 if self._behind else _IDLE_S)
                except queue.Empty:
                    self._follow_a_little()
                    continue
                if job is None:
                    break
                method, params, answer = job
                answer(self._answer(method, params))
            self._own.close()
            self._history.close()
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)

    def sum_up(self, day: int) -> str:
        """Say what the day before ``day`` came to, on a job's thread. Raises LedgerFault."""
        box: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._jobs.put(("days", DaysParams(days=1, until=date_of(day - 1)), box.put))
        try:
            answer = box.get(timeout=_SUM_S)
        except queue.Empty:
            raise LedgerFault(f"the keeper did not sum up within {_SUM_S:.0f} s") from None
        if not isinstance(answer, Done):
            raise LedgerFault(f"the keeper cannot sum up yet: {answer}")
        found = answer.result["days"]
        if not found:
            return f"{date_of(day - 1)}: nothing"
        one, glucose = found[0], found[0]["glucose"]
        text = f"{one['date']}: {format_dose(one['total_uu'])}, {one['boluses']} boluses"
        if glucose is not None:
            text += f", {glucose['from_70_to_180']:.0f} % of glucose in 70 to 180"
        return text

    def _follow_a_little(self) -> None:
        """Take in a batch of new rows while nobody asks; what is wrong is logged once."""
        try:
            self._behind = not self._own.follow().whole
            self._told = ""
        except sqlite3.Error as error:
            self._made_anew(error)
        except LedgerFault as fault:
            self._behind = False
            if str(fault) != self._told:
                self._told = str(fault)
                # A pump that was never started has none: that is no news.
                _log.log(_LEVELS[self._own.has_ledger], "%s: %s", fault.code, fault)

    def _made_anew(self, error: sqlite3.Error) -> Answer:
        """Begin again with a database that is damaged: it holds nothing but the ledger's rows."""
        text = f"the keeper's database cannot be read ({error}) and is made anew"
        _log.error("%s", text)
        self._own.start_anew()
        self._behind = True
        return Failed(LedgerFault.code, text)

    def _answer(self, method: str, params: BaseModel) -> Answer:
        try:
            if isinstance(params, HistoryParams):
                return Done(self._history.page(**params.model_dump()))
            if method == "keeper":
                return Done(self._about())
            if isinstance(params, KeeperExportParams):
                return Done(self._export(params.target))
            if isinstance(params, KeeperRunParams):
                assert self.house is not None  # noqa: S101 - set before the server starts
                self.house.run_soon(params.job)
                return Done({"job": params.job})
            for _ in range(_SLICES):
                if (followed := self._own.follow()).whole:
                    break
            self._behind = not followed.whole
            if self._behind:
                raise not_followed(followed)
            return Done(self._asked(method, params))
        except LedgerFault as fault:
            return Failed(fault.code, str(fault))
        except sqlite3.Error as error:
            return self._made_anew(error)
        except ValueError as error:
            return Refused([{"code": Code.BAD_PARAMETERS, "text": str(error)}])

    def _about(self) -> dict[str, Any]:
        assert self.house is not None  # noqa: S101 - set before the server starts
        try:
            followed = self._own.follow()
        except LedgerFault:
            followed = Followed(self._own.seq, self._own.seq)
        return {
            "jobs": self.house.shown(),
            "seq": followed.seq,
            "head_seq": followed.head_seq,
            "clock_steps": self.house.restarts,
            "sources": [one.shown() for one in self.feeders],
            "targets": sorted(targets(self.own)),
            "links": [one.shown() for one in self.links],
        }

    def _export(self, target: str) -> dict[str, Any]:
        """Have an export made as soon as the other jobs leave room. Raises ValueError."""
        known = targets(self.own)
        if target not in known:
            raise ValueError(f"target = {target!a} is not one of {', '.join(known)}")
        assert self.house is not None  # noqa: S101 - set before the server starts
        self.target = target
        self.house.run_soon("export")
        return {"job": "export", "target": target}

    def _asked(self, method: str, params: BaseModel) -> dict[str, Any]:
        queries, reading = Queries(self._own), self._clock.read()
        if isinstance(params, GraphParams):
            until_ns = reading.utc_ns if params.until_utc_ns is None else params.until_utc_ns
            return queries.graph(until_ns, params.hours)
        if isinstance(params, DaysParams):
            today = day_of(reading.utc_ns, reading.offset_s)
            until = today if params.until is None else day_number(params.until)
            match method:
                case "days":
                    return {"days": queries.days(until, params.days)}
                case "summary":
                    return queries.summary(until, params.days)
                case "agp":
                    return {"slots": queries.profile(until, params.days)}
        if method == "conservation":
            return queries.conservation()
        raise TypeError(f"{method} with {type(params).__name__} is no method of the keeper")


def jobs_of(config: Config, settings: KeeperSettings, own: Path, desk: Desk) -> list[Job]:
    """Return the jobs of each day, as they are set."""
    table = settings.jobs
    ledger, backups = config.paths.state / "ledger.db", own / "backups"

    def report(seq: int, text: str) -> None:
        with PumpClient(config.paths.runtime / "pumpd.sock", client="pump-keeper") as pump:
            pump.report_ledger(seq, text)

    def check(_day: int) -> str:
        return full_check(ledger, config.paths.runtime / "guard.sock", report)

    return [
        Job("summary", table.summary_at, desk.sum_up),
        Job("check", table.check_at, check),
        Job("backup", table.backup_at, lambda day: back_up(ledger, backups, date_of(day))),
        *([_scheduled_report(config, settings, own)] if settings.report.every_days else []),
        Job("export", ON_REQUEST, lambda day: _export(config, settings, own, desk, day)),
        Job(
            "retention",
            table.retention_at,
            lambda _day: clear_out(backups, table.keep_days, table.keep_weeks, table.keep_months),
        ),
    ]


def _scheduled_report(config: Config, settings: KeeperSettings, own: Path) -> Job:
    table = settings.report

    def work(day: int) -> str:
        if day % table.every_days:
            return "not today"
        return write_report(
            own / "keeper.db",
            own / "reports",
            day,
            days=table.days,
            pump=config.pump.name,
            costs=settings.costs.model_dump(),
        )

    return Job("report", table.at, work)


def _export(config: Config, settings: KeeperSettings, own: Path, desk: Desk, day: int) -> str:
    return take_away(
        own / "keeper.db",
        targets(own)[desk.target],
        day,
        days=settings.report.days,
        pump=config.pump.name,
        costs=settings.costs.model_dump(),
    )


def serve(config: Config, settings: KeeperSettings, own: Path, clock: SystemClock) -> None:
    """Serve until a signal asks for the end; ``own`` is the folder for the keeper's own files.

    Raises PumpError or OSError where it cannot begin.
    """
    ledger = config.paths.state / "ledger.db"
    desk = Desk(History(ledger), Rollup(own / "keeper.db", ledger), clock, _died)
    book = JobBook(own / "keeper-jobs.json")
    jobs = jobs_of(config, settings, own, desk)
    house = Housekeeper(jobs, book, clock, real_monotonic_ns, _died)
    desk.house, desk.own = house, own
    feeders = _feeders(config, settings, own, clock)
    desk.feeders = [one.feeder for one in feeders]
    desk.links = _links(config, settings, own, clock)
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
        roles=roles_by_uid(_users(config), os.geteuid() if bench else None),
        handler=desk,
        now_ns=real_monotonic_ns,
        hello=hello,
        died=_died,
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # in every thread; this one waits for them
    server.start()
    desk.start()
    house.start()
    for thread in (*feeders, *desk.links):
        thread.start()
    notifier = Notifier()
    notifier.say("READY=1")
    while signal.sigtimedwait(_ENDS, _WATCH_S) is None:
        if house.watch():
            _log.warning("the wall clock was set: the jobs are looked at anew")
    notifier.say("STOPPING=1")
    house.end()
    for feeder in feeders:
        feeder.end()
    for link in desk.links:
        link.end()
    server.close()
    desk.end()


def _feeders(
    config: Config, settings: KeeperSettings, own: Path, clock: SystemClock
) -> list[FeederThread]:
    """Return a thread for each source that is on. Raises BadConfiguration."""
    threads = []
    for one in settings.source:
        if not one.enabled:
            continue
        place = Place(
            one.name,
            clock,
            own,
            config.paths.runtime,
            config.mechanics.concentration_u_per_ml,
        )
        source = make(one.kind, one.options, place)
        give = giving_to(config.paths.runtime / "pumpd.sock")
        threads.append(FeederThread(Feeder(one.name, source, clock, give), _died))
    return threads


def _links(
    config: Config, settings: KeeperSettings, own: Path, clock: SystemClock
) -> list[LinkThread]:
    """Return a thread for each link that is on. Raises BadConfiguration."""
    sums = own / "keeper.db"

    def ask() -> Snapshot | None:
        try:
            with PumpClient(config.paths.runtime / "pumpd.sock", client="pump-keeper") as pump:
                return pump.status()
        except PumpError:
            return None

    def totals() -> Mapping[str, int]:
        try:
            with Look(sums) as look:
                return Queries(look).totals()
        except sqlite3.Error:
            return {}

    threads = []
    for one in settings.link:
        if not one.enabled:
            continue
        place = Place(one.name, clock, own, config.paths.runtime)
        link: Link
        match one.kind:
            case "nightscout":
                link = NightscoutUpload(one.options, place, settings.hosts, sums)
            case "prometheus":
                link = Prometheus(one.options, place, config.pump.name, ask, totals)
            case _:
                link = _mqtt(one.options, place, settings.hosts, config.pump.name, ask, sums)
        threads.append(LinkThread(one.name, link, _died))
    return threads


def _mqtt(
    options: Mapping[str, Any],
    place: Place,
    hosts: list[str],
    pump: str,
    ask: Callable[[], Snapshot | None],
    sums: Path,
) -> Link:
    try:
        from appliance.keeper.links.mqtt import Mqtt
    except ImportError as error:
        text = f"mqtt needs {error.name}: pip install 'benchpump[mqtt]'"
        raise BadConfiguration(f"link {place.name}", [text]) from error
    return Mqtt(options, place, hosts, pump=pump, ask=ask, sums=sums)


def _users(config: Config) -> dict[Role, set[int]]:
    """Return the uids of each role. Raises BadConfiguration for names that nobody has."""
    users: dict[Role, set[int]] = {}
    faults = []
    for role, names in ((Role.OBSERVE, config.users.observe), (Role.OPERATE, config.users.operate)):
        users[role] = set()
        for user in names:
            try:
                users[role].add(user if isinstance(user, int) else pwd.getpwnam(user).pw_uid)
            except KeyError:
                faults.append(f"users.{role.value} = {user!r}: no such user on this machine")
    if faults:
        raise BadConfiguration("users", faults)
    return users


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
    logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells of every look
    try:
        config, _ = load(words.config)
        start = Start.load(words.clock_file) if words.clock_file else None
        settings = read_settings(words.config.with_name("keeper.toml"))
        serve(config, settings, config.paths.keeper, SystemClock(config.pump.zone, start))
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
