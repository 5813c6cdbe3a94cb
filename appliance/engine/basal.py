"""Basal: the day's schedule turned into programmes, a block at a time.

A block is one rate from an instant until the next segment or the end of a temporary basal, at most
an hour. The block after it is
given to the stepper ahead of time and takes its carry over, so a late `pumpd` loses nothing
between two rates. Local wall time selects the segment, and nothing else: what the calendar alone
saw is never delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid5

from appliance.domain.basal import Profile, Segment, ns_of_local_day
from appliance.domain.limits import Piece
from appliance.domain.outcomes import DoseKind
from appliance.domain.units import NS_PER_H, NS_PER_MIN
from appliance.engine.context import Context
from appliance.engine.motor import Job, Motor, Phase, never_begun
from appliance.engine.temp import TempBasal
from appliance.ports import Row
from appliance.records import NO_LIMIT, Motion

_NAMESPACE = UUID("6f4a2f0c-9d0b-5a53-8d0e-0b1f6c1f7a11")  # of basal blocks: ids like a bolus's
_BLOCK_NS = NS_PER_H
_RETRY_NS = NS_PER_MIN
_WAIT_NS = 20_000_000


def profile_of(name: str, raw: Sequence[Any]) -> Profile:
    """Return a profile from what the ledger or the wire holds. Raises BadProfile."""
    return Profile(name, tuple(Segment(**one) for one in raw))


class Basal:
    """Keeps a block running while the pump runs."""

    def __init__(self, context: Context, motor: Motor, temp: TempBasal) -> None:
        self._c = context
        self._motor = motor
        self._temp = temp
        self._epoch = 0
        self._writing = False
        self.on = False
        self._read: tuple[Sequence[Any], Profile] | None = None
        self._blocks: list[Job] = []
        self._next_look_ns = 0
        self.held_since_ns: int | None = None
        self.has_room: Callable[[], bool] = lambda: True
        self.suspended: Callable[[], bool] = lambda: False

    @property
    def beginning(self) -> bool:
        """Say whether a block is on its way to the disk."""
        return self._writing

    @property
    def profile(self) -> Profile | None:
        """Return the profile in use, or None."""
        name = self._c.book.settings.get("basal.active")
        profiles = self._c.book.settings.get("basal.profiles", {})
        if name not in profiles:
            return None
        raw = profiles[name]
        if self._read is None or self._read[0] is not raw or self._read[1].name != name:
            self._read = (raw, profile_of(str(name), raw))  # a setting is replaced, never changed
        return self._read[1]

    def rate_uu_per_h(self) -> int:
        """Return the rate that runs now: 0 where none does."""
        running = [one for one in self._blocks if one.given and one.ended is None]
        return running[0].rate_uu_per_h if running else 0

    def scheduled_uu_per_h(self) -> int:
        """Return the rate that the profile asks for now, delivered or not."""
        profile = self.profile
        if profile is None:
            return 0
        return self._segment(profile, self._c.now_ns).rate_uu_per_h

    def rate_at(self, profile: Profile, at_ns: int) -> tuple[int, int]:
        """Return the rate to give at an instant from now on, and until when it stays the same, as
        far as glucose does not hold it back.
        """
        scheduled = self._segment(profile, at_ns).rate_uu_per_h
        until_ns = at_ns + profile.ns_to_next_segment(self.ns_of_day(at_ns))
        temp, temp_until_ns, limits = self._temp.at(at_ns), self._temp.until_ns, self._c.limits
        if temp is None or temp_until_ns is None or limits is None:
            return scheduled, until_ns
        rate = temp.rate_uu_per_h(scheduled, limits.max_basal_uu_per_h)
        return rate, min(until_ns, temp_until_ns)

    def start(self) -> None:
        """Deliver from now on; nothing is owed for the time before."""
        if not self.on:
            self.on = True
            self._next_look_ns = 0

    def stop(self) -> None:
        """Owe nothing from now on; the blocks end with the motor's release, or one by one."""
        self.on = False
        self.held_since_ns = None
        self._epoch += 1

    def anchor_anew(self, why: str = "another rate took its place") -> None:
        """End the running blocks and begin anew from now: the profile, a temporary basal or the
        wall clock has changed.
        """
        self._epoch += 1
        self._next_look_ns = 0
        for job in reversed(self._blocks):
            if job.ended is None:
                job.why = job.why or why
            self._motor.stop(job.number)

    def limits_changed(self) -> None:
        """Begin anew under new limits, where a temporary basal may have to give another rate."""
        if self._temp.at(self._c.now_ns) is not None:
            self.anchor_anew()

    def hold(self) -> None:
        """Stop basal because a window limit leaves no room; it is tried again every minute."""
        if self.held_since_ns is None:
            self.held_since_ns = self._c.now_ns
        self.anchor_anew("held: a window limit leaves no room")
        self._next_look_ns = self._c.now_ns + _RETRY_NS

    def drop(self, number: int) -> None:
        """Forget a block that is closed."""
        self._blocks = [one for one in self._blocks if one.number != number]

    def turn(self) -> None:
        """Begin the first block, or give the next one ahead of time."""
        if not self.on or self._writing or self._motor.phase not in (Phase.IDLE, Phase.ACTIVE):
            return
        now_ns = self._c.now_ns
        if now_ns < self._next_look_ns:
            return
        profile = self.profile
        if profile is None or self._c.limits is None:
            return
        live = [one for one in self._blocks if one.ended is None]
        if self.held_since_ns is not None and not self.has_room():
            self._next_look_ns = now_ns + _RETRY_NS
        elif not live:
            self.held_since_ns = None
            self._begin(profile, now_ns, 0)
        elif len(live) == 1 and live[0].until_ns - now_ns <= self._c.times.ahead_ns:
            self._begin(profile, live[0].until_ns, live[0].number)

    def wake_ns(self) -> int:
        """Return when the next block has to be looked at."""
        if not self.on or self._writing:
            return NO_LIMIT
        live = [one for one in self._blocks if one.ended is None]
        if len(live) > 1:
            return NO_LIMIT  # the end of the first is heard in the mail
        wake_ns = self._next_look_ns
        if live:
            wake_ns = max(wake_ns, live[0].until_ns - self._c.times.ahead_ns)
        # What is due and could not be done waits for something else: no spinning until it comes.
        return wake_ns if wake_ns > self._c.now_ns else self._c.now_ns + _WAIT_NS

    def plan(self, until_ns: int) -> list[Piece]:
        """Return what the schedule asks for from now until ``until_ns``, in pieces of one rate."""
        profile = self.profile
        if profile is None or not self.on:
            return []
        pieces, at_ns = [], self._c.now_ns
        while at_ns < until_ns:
            rate, change_ns = self.rate_at(profile, at_ns)
            end_ns = min(until_ns, change_ns)
            if rate:
                pieces.append(Piece(at_ns, end_ns, rate))
            at_ns = end_ns
        return pieces

    # ------------------------------------------------------------------ one block

    def _begin(self, profile: Profile, start_ns: int, follows: int) -> None:
        rate, change_ns = self.rate_at(profile, start_ns)
        if self.suspended():  # by glucose: whoever ends that has it begun anew
            rate = 0
        if rate == 0:
            self._next_look_ns = change_ns
            return
        temp = self._temp.at(start_ns)
        number = self._c.new_programme()
        job = Job(
            number=number,
            request_id=str(uuid5(_NAMESPACE, f"{self._motor.run}/{number}")),
            kind=DoseKind.BASAL.value,
            motion=Motion.DOSE,
            rate_uu_per_h=rate,
            steps=NO_LIMIT,
            start_ns=start_ns,
            until_ns=min(change_ns, start_ns + _BLOCK_NS),
            follows=follows,
        )
        body = {
            "request_id": job.request_id,
            "dose": job.kind,
            "programmed_uu": None,
            "programmed_steps": None,
            "rate_uu_per_h": job.rate_uu_per_h,
            "programme": number,
            "run": self._motor.run,
            "by": "schedule",
            "profile": profile.name,
            "temp": temp.words if temp else "",
        }
        self._writing = True
        epoch, run = self._epoch, self._motor.run

        def stale() -> bool:
            return run != self._motor.run or epoch != self._epoch or self._motor.phase is Phase.OFF

        def durable(_rows: Sequence[Row]) -> None:
            self._writing = False
            if stale():
                self._c.write([self._c.entry("closed", never_begun(job))])
                return
            if not follows:
                # What the disk took is no slip: the block begins when it may begin.
                job.start_ns = max(job.start_ns, self._c.now_ns)
            self._blocks.append(job)
            self._motor.add(job)

        self._c.write([self._c.entry("intent", body)], durable)

    def _segment(self, profile: Profile, at_ns: int) -> Segment:
        return profile.segment_at(self.ns_of_day(at_ns) // NS_PER_MIN)

    def ns_of_day(self, at_ns: int) -> int:
        """Return how far into the local day an instant is, as the wall clock runs now."""
        utc_ns = self._c.reading.utc_ns + at_ns - self._c.reading.mono_ns
        return ns_of_local_day(utc_ns, self._c.reading.offset_s)
