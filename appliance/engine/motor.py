"""The motor's paperwork: programmes, leases and counts, for one run of the stepper at a time.

Leases belong to the motor and are numbered; at most two are open. A lease is durable, then known
to the guard, then the stepper's. What a programme has done is the stepper's count; what is
confirmed is the guard's. Nothing here decides whether to deliver: the pump does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from appliance.domain.outcomes import Bounds, Certainty, Outcome, shares
from appliance.domain.units import NS_PER_H
from appliance.engine.context import Context
from appliance.engine.messages import StopAll, ToGuard, ToStepper
from appliance.ports import Entry, Row
from appliance.records import (
    NO_LIMIT,
    Carry,
    Counted,
    Direction,
    End,
    Ended,
    Lease,
    LeasesClosed,
    LeaseTaken,
    Motion,
    Programme,
    ProgrammeTotal,
    Progress,
    Stop,
    halves,
    whole,
)

_MISSING = 2
_REWIND_LEASES = 20


class Phase(Enum):
    """What the motor's paperwork is at."""

    OFF = auto()  # no run
    IDLE = auto()  # a run, no lease
    ACTIVE = auto()  # programmes draw from leases
    RELEASING = auto()  # everything has been told to end; counts are awaited
    CLOSING = auto()  # the last rows are on their way to the disk


@dataclass(slots=True)
class Job:
    """One programme of the motor: what was asked, and what the stepper says of it."""

    number: int
    request_id: str
    kind: str
    motion: Motion
    rate_uu_per_h: int
    steps: int
    start_ns: int
    until_ns: int
    follows: int = 0
    remainder: int = 0
    taken: int = 0
    closing: bool = False
    why: str = ""
    fault: bool = False
    connection: int = 0
    programmed_uu: int | None = None
    bolus_id: str = ""
    given: bool = False
    issued_steps: int = 0
    shift_ns: int = 0
    slips: int = 0
    ended: Ended | None = None
    ended_at_ns: int = 0


@dataclass(slots=True)
class OpenLease:
    """A lease that no count row has closed, on its way from the disk to the stepper."""

    number: int
    motion: Motion
    steps: int
    first: int
    durable: bool = False
    given: bool = False

    @property
    def end(self) -> int:
        """Return the run's total at which it is used up."""
        return self.first + self.steps


class Motor:
    """The paperwork of one run; ``start_run`` begins the next."""

    def __init__(self, context: Context, may_lease: Callable[[Motion, int], int]) -> None:
        self._c = context
        self._may_lease = may_lease
        mechanics = context.machine.mechanics
        self._lease_steps = mechanics.lease_steps(context.machine.lease_uu)
        self.phase = Phase.OFF
        self.run = 0
        self.jobs: dict[int, Job] = {}
        self.leases: list[OpenLease] = []
        self.carry = 0
        self.progress: Progress | None = None
        self.counted: Counted | None = None
        self.final = False
        self.guard_whole = True
        self._spent = False
        self._stops = 0
        self._stops_asked = 0
        self._leased = 0
        self._closed_confirmed = 0
        self._closed_maximum = 0
        self._deficit_seen = 0
        self._writing = False
        self._queued: list[Job] = []
        self._release_since_ns = 0
        self._issued_since_ns: dict[int, int] = {}

    # ------------------------------------------------------------------ runs

    def start_run(self, run: int) -> None:
        """Begin a run: every total is 0, and nothing of an older one counts any more."""
        self.phase = Phase.IDLE
        self.run = run
        self.jobs, self.leases = {}, []
        self.progress = self.counted = None
        self.final, self.guard_whole, self._spent = False, True, False
        self._stops = self._stops_asked = 0
        self._leased = self._closed_confirmed = self._closed_maximum = self._deficit_seen = 0
        self._writing = False
        self._issued_since_ns = {}
        self.carry = 0

    def end_run(self) -> None:
        """End the run: the stepper is gone or spent."""
        self.phase = Phase.OFF
        self.jobs, self.leases = {}, []

    # ------------------------------------------------------------------ starting and stopping

    def add(self, job: Job) -> None:
        """Take a programme whose intent is durable; it starts when the motor is free for it.

        While the last leases are being closed it waits for its turn.
        """
        if self.phase in (Phase.RELEASING, Phase.CLOSING):
            self._queued.append(job)
        else:
            self.jobs[job.number] = job

    def take_queue(self) -> list[Job]:
        """Take the programmes back that have waited for the motor: they are not to start."""
        queued, self._queued = self._queued, []
        for job in queued:
            self.carry += job.taken * NS_PER_H
        return queued

    def stop(self, number: int) -> None:
        """Have one programme end."""
        job = self.jobs.get(number)
        if job is None or job.ended is not None:
            return
        if job.given:
            self._c.add(ToStepper(Stop(number)))
        else:
            self.withdraw(job)

    def withdraw(self, job: Job) -> None:
        """End a programme that the stepper never had: nothing of it was issued."""
        now_ns = self._c.now_ns
        job.ended = Ended(job.number, int(End.STOPPED), 0, 0, 0, now_ns, 0, 0, 0, self.issued_steps)
        job.ended_at_ns = now_ns
        self.carry += job.taken * NS_PER_H

    def release(self) -> None:
        """Have everything end and every lease be void."""
        if self.phase in (Phase.ACTIVE, Phase.IDLE):
            self._stops_asked += 1
            self._c.add(StopAll())
            self._releasing()

    def stop_was_sent(self, count: int) -> None:
        """Hear that a stop went out, from whatever thread: what was sent before it is void."""
        if count > self._stops:
            self._stops = count
            if self.phase is Phase.ACTIVE:
                self._releasing()

    def _releasing(self) -> None:
        self.phase = Phase.RELEASING
        self._release_since_ns = self._c.now_ns

    def lost(self) -> None:
        """Hear that the stepper is gone, or is not believed any more: its last word has been
        said.
        """
        if self.phase in (Phase.IDLE, Phase.ACTIVE):
            self._releasing()

    # ------------------------------------------------------------------ what is heard

    def hear_progress(self, progress: Progress) -> None:
        """Take the stepper's totals; after its last stop they are final."""
        self.progress = progress
        stopped = progress.stops >= max(self._stops, 1) and self._stops >= self._stops_asked
        if self._spent or (self.phase is Phase.RELEASING and stopped):
            self.final = True

    def hear_total(self, total: ProgrammeTotal) -> None:
        """Take one programme's totals."""
        job = self.jobs.get(total.number)
        if job is not None:
            job.issued_steps = total.issued_steps
            job.shift_ns = total.shift_ns
            job.slips = total.slips

    def hear_end(self, ended: Ended) -> Job | None:
        """Take the end of a programme; its carry goes back to the motor unless another follows
        it.
        """
        job = self.jobs.get(ended.number)
        if job is None or job.ended is not None:
            return None
        self._spent = self._spent or ended.reason > End.STOPPED
        job.ended = ended
        job.ended_at_ns = self._c.now_ns
        job.issued_steps = ended.issued_steps
        job.shift_ns, job.slips = ended.shift_ns, ended.slips
        follower = next((one for one in self.jobs.values() if one.follows == job.number), None)
        handed_on = ended.reason == End.DONE and follower is not None and follower.given
        if not handed_on and job.motion is not Motion.REWIND:
            finished = job.steps != NO_LIMIT and job.issued_steps >= job.steps
            self.carry += (
                job.remainder * NS_PER_H if finished else whole(ended.carry_high, ended.carry_low)
            )
        return job

    def hear_count(self, counted: Counted) -> None:
        """Take the guard's count of this run."""
        if counted.run == self.run:
            self.counted = counted

    def hear_taken(self, taken: LeaseTaken) -> None:
        """The guard knows the lease: the stepper may have it."""
        for lease in self.leases:
            if lease.number == taken.number and lease.durable and not lease.given:
                lease.given = True
                self._c.add(ToStepper(self._record(lease)))

    # ------------------------------------------------------------------ numbers

    @property
    def issued_steps(self) -> int:
        """Return the steps that the stepper is known to have issued in this run."""
        return self.progress.issued_steps if self.progress else 0

    @property
    def counted_steps(self) -> int:
        """Return the confirmed steps of this run: the guard's, or the stepper's without a read-
        back.
        """
        if not self._c.machine.readback:
            return self.issued_steps
        return self.counted.counted_steps if self.counted else 0

    @property
    def doubtful_steps(self) -> int:
        """Return the edges that the guard saw while ENABLE was going off."""
        return self.counted.doubtful_steps if self.counted and self._c.machine.readback else 0

    def bounds(self) -> Bounds:
        """Return the run's bounds as they stand: exact at a clean end, else what leases allow.

        While it steps, more may have gone out than it has told: every open lease counts in full.
        """
        leased = self.leases[-1].end if self.leases else self._leased
        confirmed = min(self.counted_steps, self.issued_steps if self.final else leased)
        return Bounds(confirmed, max(self._maximum_steps(leased), confirmed))

    def _maximum_steps(self, leased: int) -> int:
        """Return the most that may have moved in this run; ``leased`` steps were leased in all."""
        counted = self.counted_steps
        if self.final:
            return max(self.issued_steps, min(counted, leased))
        if self.phase in (Phase.ACTIVE, Phase.RELEASING):
            return leased
        if self._c.machine.readback and self.guard_whole:
            return min(max(counted + self.doubtful_steps, self.issued_steps), leased)
        return leased

    def job_bounds(self, job: Job) -> Bounds:
        """Return one programme's bounds: its own count, and the motor's doubt."""
        bounds, issued = self.bounds(), self.issued_steps
        most = job.steps
        spare = max(0, bounds.maximum_steps - issued)
        missing = max(0, issued - bounds.confirmed_steps - self._deficit_seen)
        confirmed = max(0, job.issued_steps - missing)
        open_jobs = [one for one in self.jobs.values() if one.given]
        if not self.final and len(open_jobs) == 1:
            confirmed = max(confirmed, job.issued_steps + bounds.confirmed_steps - issued)
        confirmed = min(confirmed, most)
        return Bounds(max(0, confirmed), max(min(job.issued_steps + spare, most), confirmed, 0))

    def confirmed_of(self, job: Job) -> int:
        """Return what is confirmed of a running programme, for progress on a screen."""
        missing = max(0, self.issued_steps - self.counted_steps - self._deficit_seen)
        return max(0, job.issued_steps - missing)

    @property
    def leased_ahead_steps(self) -> int:
        """Return the steps of open leases that the stepper has not issued yet."""
        return self.leases[-1].end - self.issued_steps if self.leases else 0

    def uncounted_steps(self) -> int:
        """Return the most steps that went out and are in no durable count row: a row that is on
        its way to the disk counts for nothing yet.
        """
        book = self._c.book
        counted = book.run_maximum_steps if book.run == self.run else 0
        if self.final:
            return max(0, self.issued_steps - counted)
        leased = self.leases[-1].end if self.leases else self._leased
        return max(0, self._maximum_steps(leased) - counted)

    @property
    def deficit_is_open(self) -> bool:
        """Say whether edges are still awaited from the guard."""
        return self.issued_steps - self.counted_steps > self._deficit_seen

    # ------------------------------------------------------------------ one look at everything

    def turn(self) -> None:
        """Start what waits, keep two leases open, and move a release on."""
        if self.phase in (Phase.IDLE, Phase.ACTIVE):
            self._give_programmes()
        if self.phase is Phase.ACTIVE:
            self._top_up()

    def _give_programmes(self) -> None:
        waiting = [one for one in self.jobs.values() if not one.given and one.ended is None]
        if not waiting or self._stops < self._stops_asked:
            return
        if self.phase is Phase.IDLE:
            self.phase = Phase.ACTIVE
        for job in waiting:
            job.given = True
            carry = 0
            before = self.jobs.get(job.follows)
            if before is None or before.ended is not None:
                job.follows = 0  # it came too late to follow: the carry has come back to the motor
            if job.steps == NO_LIMIT and not job.follows:
                carry, self.carry = self.carry, 0
            high, low = halves(carry)
            self._c.add(
                ToStepper(
                    Programme(
                        job.number,
                        int(job.motion),
                        job.rate_uu_per_h,
                        job.start_ns,
                        job.until_ns,
                        job.steps,
                        high,
                        low,
                        job.follows,
                        self._stops,
                    )
                )
            )

    def give_carry(self, number: int) -> None:
        """Give what is left over to a running programme, so that it goes out with the next step."""
        job = self.jobs.get(number)
        if self.carry and job is not None and job.given and job.ended is None:
            high, low = halves(self.carry)
            self.carry = 0
            self._c.add(ToStepper(Carry(number, high, low)))

    def take_carry(self) -> int:
        """Take the whole microunits out of the carry, in ``uu * ratio_steps``, for a bolus to plan
        with.
        """
        part, self.carry = divmod(self.carry, NS_PER_H)
        return part

    def _top_up(self) -> None:
        if self._writing or self._c.trouble:
            return
        counts: list[Entry] = []
        closable = self._used_up()
        if len(self.leases) - len(closable) >= 2:
            return
        motion = next((one.motion for one in self.jobs.values() if one.ended is None), None)
        size = 0
        if motion is not None:
            size = self._may_lease(motion, self._wanted(motion))
        if not size:
            return
        counts = self._count_entries(closable, final=False)
        first = self.leases[-1].end if self.leases else self._leased
        lease = OpenLease(self._c.book.next_lease, motion or Motion.DOSE, size, first)
        self.leases.append(lease)
        body = {
            "number": lease.number,
            "run": self.run,
            "motion": int(lease.motion),
            "direction": int(self._direction(lease.motion)),
            "steps": lease.steps,
        }
        self._writing = True
        run = self.run
        self._c.write(
            [*counts, self._c.entry("lease", body)],
            lambda _rows: self._lease_is_durable(run, lease, closable),
        )

    def _wanted(self, motion: Motion) -> int:
        """Return the next lease's steps: never more than all programmes together may still need."""
        jobs = [one for one in self.jobs.values() if one.ended is None and one.motion is motion]
        lease_steps = self._lease_steps
        if motion is Motion.REWIND:  # no dose is in doubt, and the way is long
            lease_steps *= _REWIND_LEASES
        if any(one.steps == NO_LIMIT for one in jobs):
            return lease_steps
        left = sum(one.steps - one.issued_steps for one in jobs)
        held = sum(one.steps for one in self.leases) - max(
            0, self.issued_steps - (self.leases[0].first if self.leases else self.issued_steps)
        )
        return max(0, min(lease_steps, left - held))

    def _used_up(self) -> list[OpenLease]:
        """Return the leases whose steps are all out, and counted or given up waiting for."""
        done: list[OpenLease] = []
        for lease in self.leases:
            if self.issued_steps < lease.end:
                break
            since_ns = self._issued_since_ns.setdefault(lease.number, self._c.now_ns)
            seen = self.counted_steps + self._deficit_seen >= lease.end
            missing = lease.end - self.counted_steps - self._deficit_seen
            waited_ns = self._c.now_ns - since_ns
            if not seen and (missing >= _MISSING or waited_ns < self._c.times.settle_ns):
                break  # two edges or more are the guard's to judge: no lease until it has
            done.append(lease)
        return done

    def _count_entries(self, leases: Sequence[OpenLease], *, final: bool) -> list[Entry]:
        """Return the count rows that close ``leases``, the oldest open ones, each with its own
        share.
        """
        if not leases:
            return []
        sizes = [one.steps for one in leases]
        if final:
            bounds = self.bounds()
            issued = shares(self.issued_steps - leases[0].first, sizes)
            confirmed_total, maximum_total = bounds.confirmed_steps, bounds.maximum_steps
        else:
            end = leases[-1].end
            issued = sizes
            confirmed_total, maximum_total = min(self.counted_steps, end), end
        confirmed = shares(confirmed_total - self._closed_confirmed, sizes)
        maximum = shares(maximum_total - self._closed_maximum, sizes)
        entries = []
        programmes = {str(one.number): one.issued_steps for one in self.jobs.values() if one.given}
        for lease, sent, low, high in zip(leases, issued, confirmed, maximum, strict=True):
            bounds = Bounds(min(low, high), high)
            entries.append(
                self._c.entry(
                    "count",
                    {
                        "lease": lease.number,
                        "run": self.run,
                        "issued_steps": sent if self.final or not final else None,
                        "confirmed_steps": bounds.confirmed_steps,
                        "maximum_steps": bounds.maximum_steps,
                        "certainty": bounds.certainty.value,
                        "confirmed_by": self.confirmed_by,
                        "programmes": programmes,
                    },
                )
            )
            self._closed_confirmed += bounds.confirmed_steps
            self._closed_maximum += bounds.maximum_steps
        return entries

    @property
    def confirmed_by(self) -> str:
        """Say what confirms: the guard's count, or without a read-back the stepper's own."""
        return "count" if self._c.machine.readback else "issue"

    def _lease_is_durable(self, run: int, lease: OpenLease, closed: Sequence[OpenLease]) -> None:
        if run != self.run:
            return
        self._writing = False
        self.leases = [one for one in self.leases if one not in closed]
        for one in closed:
            self._issued_since_ns.pop(one.number, None)
        lease.durable = True
        if self.phase is Phase.ACTIVE:
            self._c.add(ToGuard(self._record(lease)))

    def _record(self, lease: OpenLease) -> Lease:
        return Lease(
            lease.number,
            int(lease.motion),
            int(self._direction(lease.motion)),
            lease.steps,
            self._stops,
        )

    @staticmethod
    def _direction(motion: Motion) -> Direction:
        return Direction.REVERSE if motion is Motion.REWIND else Direction.FORWARD

    # ------------------------------------------------------------------ endings

    def ready_to_close(self) -> bool:
        """Say whether a release has heard all it will hear: then the last rows can be written."""
        if self.phase is not Phase.RELEASING or self._writing:
            return False
        waited_ns = self._c.now_ns - self._release_since_ns
        if waited_ns >= self._c.times.give_up_ns:
            return True
        heard = all(one.ended is not None or not one.given for one in self.jobs.values())
        if not (self.final and heard):
            return False
        return not self.deficit_is_open or waited_ns >= self._c.times.settle_ns

    def settled(self, job: Job) -> bool:
        """Say whether one ended programme's last edges are counted, or given up waiting for."""
        if job.ended is None:
            return False
        counted = self.counted_steps + self._deficit_seen >= job.ended.run_issued_steps
        return counted or self._c.now_ns - job.ended_at_ns >= self._c.times.settle_ns

    def single_bounds(self, job: Job) -> Bounds:
        """Return the bounds of a programme that ended while others go on; its steps are final."""
        assert job.ended is not None  # noqa: S101 - the caller asked ``settled``
        deficit = max(0, job.ended.run_issued_steps - self.counted_steps)
        missing = max(0, deficit - self._deficit_seen)
        self._deficit_seen = max(self._deficit_seen, deficit)
        confirmed = max(0, job.issued_steps - missing)
        return Bounds(confirmed, max(confirmed, job.issued_steps))

    def closing_entries(self) -> list[Entry]:
        """Return the count rows of every open lease: after them the motor is free of paper."""
        self.phase = Phase.CLOSING
        return self._count_entries(self.leases, final=True)

    def closed(self, _rows: Sequence[Row]) -> None:
        """Hear that the last rows are durable: the guard may forget the leases."""
        if self.phase is not Phase.CLOSING:
            return
        issued = self.issued_steps
        self._leased = max(issued, self._closed_maximum)
        self._closed_confirmed = min(self.counted_steps, self._leased)
        self._closed_maximum = self._leased
        self._deficit_seen = max(0, self._leased - self.counted_steps)
        self.leases, self.jobs = [], {}
        self._issued_since_ns = {}
        if self.final and not self._spent:
            self.jobs = {job.number: job for job in self._queued}
            self._queued = []
        spent = self._spent or not self.final
        self.final = False
        self.phase = Phase.OFF if spent else Phase.IDLE
        if self.phase is Phase.IDLE:
            self._c.add(ToGuard(LeasesClosed(self.run, issued)))

    def asked_uu(self, job: Job) -> int:
        """Return what an ended basal programme asked for: its rate over its time, less its
        slips.
        """
        end_ns = self._c.now_ns if job.ended is None else job.ended.at_ns
        elapsed_ns = max(0, min(end_ns, job.until_ns) - job.start_ns - job.shift_ns)
        return job.rate_uu_per_h * elapsed_ns // NS_PER_H

    def snapshot(self) -> dict[str, Any]:
        """Return the run's numbers for the snapshot."""
        return {
            "run": self.run,
            "issued_steps": self.issued_steps,
            "confirmed_steps": self.counted_steps,
            "leases_open": len(self.leases),
            "enabled": bool(self.counted.enabled) if self.counted else False,
        }


def never_begun(job: Job) -> dict[str, Any]:
    """Return the row that closes a programme which the stepper never had."""
    return {
        "request_id": job.request_id,
        "outcome": Outcome.STOPPED.value,
        "why": job.why or "stopped before it began",
        "programmed_uu": job.programmed_uu or 0,
        "programmed_steps": 0 if job.steps == NO_LIMIT else job.steps,
        "issued_steps": 0,
        "confirmed_steps": 0,
        "maximum_steps": 0,
        "certainty": Certainty.EXACT.value,
        "confirmed_by": "issue",
        "shift_ns": 0,
    }
