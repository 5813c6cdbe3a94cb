"""Jobs of each day, by APScheduler: keyed by the local date, so that no clock can make them run
twice or not at all.

APScheduler has the wall clock, and a job's time of day in it would run twice on the day of 25
hours, be silent for an hour where the clock is set back, and know nothing of a demo's faster
time. So it only asks, every few seconds in UTC, whether a job is due by the pump's own clock: its
time of day has come and it has not been done for this date. Where the wall clock was set, the
asking begins anew from there.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S
from appliance.errors import PumpError
from appliance.keeper.queries import date_of
from appliance.keeper.rollup import day_of
from appliance.ports import Clock

AGAIN_NS = 3_600 * NS_PER_S
"""How long after a failure a job is tried again, in real time."""
FIRST_NS = 300 * NS_PER_S
"""After a start the programs have the computer to themselves, in real time."""
LOOK_S = 10.0

ON_REQUEST = MIN_PER_DAY
"""The minute of a job that is done when somebody asks for it, and never by itself."""

_STEP_NS = 2 * NS_PER_S
_DAY_MIN = MIN_PER_DAY
_FAILURES = (PumpError, OSError, sqlite3.Error, ValueError)
_log = logging.getLogger("pump-keeper")


@dataclass(frozen=True, slots=True)
class Job:
    """One job: at which local minute of the day, and what does it. ``work`` has the date's day
    number, returns what came of it in words, and raises PumpError, OSError or ValueError.
    """

    name: str
    at_min: int
    work: Callable[[int], str]


@dataclass(slots=True)
class Ran:
    """What became of a job: for which date it was done last, and how the last try ended."""

    done_day: int | None = None
    tried_utc_ns: int | None = None
    took_ms: int = 0
    ok: bool | None = None
    text: str = ""
    runs: int = 0
    failures: int = 0


def is_due(job: Job, ran: Ran, day: int, minute: int) -> bool:
    """Say whether a job has to be done at a minute of a local day.

    A date other than the one that it was done for is enough: a clock that was set back by days
    makes it due again, once.
    """
    return ran.done_day != day and minute >= job.at_min


class JobBook:
    """What became of the jobs, in a small file, so that a restart does none of them again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ran: dict[str, Ran] = {}
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            self.ran = {name: Ran(**one) for name, one in raw.items()}
        except FileNotFoundError:
            pass
        except (OSError, TypeError, ValueError, AttributeError) as error:
            _log.warning("%s cannot be read, so every job is due: %s", path, error)

    def of(self, name: str) -> Ran:
        """Return what became of one job so far."""
        return self.ran.setdefault(name, Ran())

    def save(self) -> None:
        """Write it in one rename. Raises OSError."""
        fresh = self._path.with_suffix(".new")
        raw = {name: asdict(one) for name, one in self.ran.items()}
        fresh.write_text(json.dumps(raw, indent=1), encoding="utf-8")
        fresh.replace(self._path)


class Housekeeper:
    """Runs the jobs, one at a time.

    On the whole program's priority, never below it: a thread that the computer passes over while it
    holds the interpreter's lock would stop every answer of the keeper.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        book: JobBook,
        clock: Clock,
        now_ns: Callable[[], int],
        died: Callable[[BaseException], None],
        *,
        first_ns: int = FIRST_NS,
        look_s: float = LOOK_S,
    ) -> None:
        """``now_ns`` is a real monotonic clock. ``died`` hears of a bug, on the job's thread."""
        self._jobs = {job.name: job for job in jobs}
        self._book = book
        self._clock = clock
        self._now_ns = now_ns
        self._died = died
        self._not_before_ns = dict.fromkeys(self._jobs, now_ns() + first_ns)
        self._look_s = look_s
        self._lock = threading.Lock()
        self._ahead_ns = self._wall_ahead_ns()
        self.restarts = 0
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Begin asking."""
        for name in self._jobs:
            self._scheduler.add_job(self._ask, self._trigger(), (name,), id=name)
        self._scheduler.start()

    def end(self) -> None:
        """Ask no more; a job that runs is not waited for: none leaves anything half done."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def watch(self) -> bool:
        """Begin the asking anew where the wall clock was set since the last look; say whether."""
        ahead_ns = self._wall_ahead_ns()
        stepped = abs(ahead_ns - self._ahead_ns) > _STEP_NS
        self._ahead_ns = ahead_ns
        if stepped:
            self.restarts += 1
            for name in self._jobs:
                self._scheduler.reschedule_job(name, trigger=self._trigger())
        return stepped

    def _trigger(self) -> IntervalTrigger:
        """Return one that begins now: a trigger is silent until the instant it was made at."""
        return IntervalTrigger(seconds=self._look_s, timezone=UTC)

    def _wall_ahead_ns(self) -> int:
        reading = self._clock.read()
        return reading.utc_ns - reading.mono_ns

    # ------------------------------------------------------------------ one job

    def _ask(self, name: str) -> None:
        """Do a job if it is due, on the scheduler's worker. A bug here ends the program."""
        try:
            self.look(name)
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)

    def look(self, name: str) -> bool:
        """Do a job if it is due; say whether it was tried."""
        job, ran = self._jobs[name], self._book.of(name)
        reading = self._clock.read()
        local_ns = reading.utc_ns + reading.offset_s * NS_PER_S
        day = day_of(reading.utc_ns, reading.offset_s)
        if self._now_ns() < self._not_before_ns[name]:
            return False
        if not is_due(job, ran, day, local_ns // NS_PER_MIN % _DAY_MIN):
            return False
        self._run(job, day, reading.utc_ns)
        return True

    def run_now(self, name: str) -> Ran:
        """Do a job for today whether or not it is due, and return what came of it."""
        reading = self._clock.read()
        self._run(self._jobs[name], day_of(reading.utc_ns, reading.offset_s), reading.utc_ns)
        return self._book.of(name)

    def run_soon(self, name: str) -> None:
        """Have a job done as soon as the others leave room. Raises ValueError if there is none."""
        if name not in self._jobs:
            raise ValueError(f"job = {name[:40]!a} is not one of {', '.join(self._jobs)}")
        self._scheduler.add_job(self._now, args=(name,), id=f"{name} now", replace_existing=True)

    def _now(self, name: str) -> None:
        try:
            self.run_now(name)
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)

    def _run(self, job: Job, day: int, utc_ns: int) -> None:
        with self._lock:
            ran, began_ns = self._book.of(job.name), self._now_ns()
            try:
                text, ok = job.work(day), True
            except _FAILURES as error:
                text, ok = f"{type(error).__name__}: {error}", False
                _log.error("the job %s failed and is tried again in an hour: %s", job.name, text)
                self._not_before_ns[job.name] = self._now_ns() + AGAIN_NS
            else:
                _log.info("the job %s of %s: %s", job.name, date_of(day), text)
            ran.ok, ran.text, ran.tried_utc_ns = ok, text[:400], utc_ns
            ran.took_ms = (self._now_ns() - began_ns) // 1_000_000
            ran.runs += 1
            if ok:
                ran.done_day = day
            else:
                ran.failures += 1
            try:
                self._book.save()
            except OSError as error:
                _log.error("what became of the jobs cannot be kept: %s", error)

    def shown(self) -> list[dict[str, Any]]:
        """Return every job with its time and what became of it."""
        rows = []
        for name, job in self._jobs.items():
            ran = self._book.of(name)
            fields = asdict(ran)
            fields["done_date"] = None if ran.done_day is None else date_of(ran.done_day)
            del fields["done_day"]
            rows.append({"name": name, "at_min": job.at_min, **fields})
        return rows
