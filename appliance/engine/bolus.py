"""The bolus desk: review, admission, delivery, and a live way to stop.

The client makes the request id when its review opens. The same id gives the same dose, whatever
happened in between. Every refusal names every reason. A dual bolus is two doses, entered together:
the part at once has the request's id, the extended part an id made from it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from appliance.domain import bolus as rules
from appliance.domain.limits import (
    DAY_NS,
    HOUR_NS,
    Limits,
    Past,
    Piece,
    Reason,
    interval_reason,
    left_uu,
    window_reasons,
)
from appliance.domain.outcomes import DoseKind
from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_H, NS_PER_S
from appliance.engine.basal import Basal
from appliance.engine.book import Book, Dose
from appliance.engine.context import Context
from appliance.engine.messages import Done, Find, Refused, Reply, Unknown
from appliance.engine.motor import Job, Motor, Phase, never_begun
from appliance.engine.windows import Windows
from appliance.ports import Entry, Row
from appliance.records import NO_LIMIT, Motion

_NAMESPACE = UUID("c1d6a1de-52f5-5a0b-9c57-4f0e2f0b7d52")  # of the extended parts of dual boluses
_SYNC_DOUBT_NS = 5 * NS_PER_S
_REFUSALS_KEPT_NS = NS_PER_S


@dataclass(frozen=True, slots=True)
class _Token:
    request_id: str
    shape: rules.Shape
    dies_ns: int


class BolusDesk:
    """Admits one bolus at a time, one extended part beside it, and watches over both."""

    def __init__(self, context: Context, motor: Motor, basal: Basal, secret: bytes) -> None:
        self._c = context
        self._motor = motor
        self._basal = basal
        self._secret = secret
        self._windows = Windows(context.book, context.machine.mechanics, context.machine.boot_id)
        self._tokens: dict[str, _Token] = {}
        self._made = 0
        self._waiting: dict[str, list[int]] = {}
        self._coming: dict[str, rules.Shape] = {}
        self._intents: dict[int, list[Job]] = {}
        self._epoch = 0
        self.job: Job | None = None
        self.extended: Job | None = None
        self._connections: set[int] = set()
        self._heartbeat_ns: int | None = None
        self._dead_since_ns: dict[int, int] = {}
        self._refused_ns = -_REFUSALS_KEPT_NS
        self.others: Callable[[], list[Reason]] = list
        self.energy: Callable[[int], Sequence[Reason]] = lambda _bolus_s: ()

    # ------------------------------------------------------------------ what limits count

    def past(self) -> list[Past]:
        """Return the upper bounds of the last day on this boot's clock, open leases included."""
        book, mechanics = self._c.book, self._c.machine.mechanics
        now_ns = self._c.now_ns
        amounts = [
            Past(min(now_ns, self._instant(one.boot, one.mono_ns, one.utc_ns, one.clock)), up)
            for one in book.spent
            if (up := mechanics.uu_of_up(one.steps))
        ]
        open_steps = self._open_steps()
        if open_steps:
            amounts.append(Past(now_ns, mechanics.uu_of_up(open_steps)))
        return sorted(amounts, key=lambda one: one.at_ns)

    def used_uu(self, window_ns: int) -> int:
        """Return what ``past`` holds within the window that ends now."""
        used_uu = self._windows.used_uu(self._c.now_ns - window_ns)
        if used_uu is None:
            since_ns = self._c.now_ns - window_ns
            return sum(one.amount_uu for one in self.past() if one.at_ns >= since_ns)
        return used_uu + self._c.machine.mechanics.uu_of_up(self._open_steps())

    def _open_steps(self) -> int:
        return self._motor.uncounted_steps() if self._motor.run else self._c.book.open_lease_steps

    def _instant(self, boot: str, mono_ns: int, utc_ns: int, clock: str) -> int:
        """Return an instant on this boot's clock that is not older than can be proved (SR-44)."""
        if boot == self._c.machine.boot_id:
            return mono_ns
        reading = self._c.reading
        if clock == "synchronised" and reading.quality.value == "synchronised":
            age_ns = max(0, self._c.utc_ns - utc_ns - _SYNC_DOUBT_NS)
            return self._c.now_ns - age_ns
        return self._c.start_ns

    def _ahead(self, shape: rules.Shape) -> tuple[list[Piece], int]:
        """Return everything programmed from now on with this bolus, and when the bolus ends."""
        now_ns = self._c.now_ns
        parts = [
            (shape.now_uu, rules.RATE_UU_PER_H[shape.speed]),
            (shape.extended_uu, rules.rate_of_extended(shape)),
        ]
        boluses = [self._piece(amount_uu, rate) for amount_uu, rate in parts if amount_uu > 0]
        end_ns = max((one.end_ns for one in boluses), default=now_ns)
        if self.extended is not None:
            boluses.append(self._piece(self._promised_uu(), self.extended.rate_uu_per_h))
        return [*self._basal.plan(end_ns + DAY_NS), *boluses], end_ns

    def _piece(self, amount_uu: int, rate_uu_per_h: int) -> Piece:
        rate = max(1, min(rate_uu_per_h, self._c.motor_pace_uu_per_h))
        return Piece(self._c.now_ns, self._c.now_ns + amount_uu * NS_PER_H // rate + 1, rate)

    def _promised_uu(self) -> int:
        """Return what the extended part that runs has still to give, rounded up."""
        job = self.extended
        if job is None or job.ended is not None:
            return 0
        return self._c.machine.mechanics.uu_of_up(job.steps - job.issued_steps)

    def reasons(self, shape: rules.Shape, state: PumpState) -> list[Reason]:
        """List every reason against a bolus now; an empty list means go."""
        limits, amount_uu, promised_uu = self._c.limits, shape.amount_uu, self._promised_uu()
        reasons = rules.state_reasons(
            state,
            running_bolus=self.job is not None or bool(self._waiting),
            self_test=True,
            two_extended=self.extended is not None and shape.extended_uu > 0,
        )
        if self._c.trouble:
            reasons.append(Reason("ledger", f"the ledger cannot be written: {self._c.trouble}"))
        reasons += self.others()
        reasons += self.energy(self._duration_s(shape))
        if limits is None:
            reasons.append(Reason("no_limits", "no limits are set: pumpctl limits set"))
            held = rules.reservoir_reason(amount_uu, self._c.reservoir_uu, promised_uu)
            return [*reasons, *rules.shape_reasons(shape), *held]
        reasons += rules.amount_reasons(amount_uu, limits, self._c.machine.ceilings.max_bolus_uu)
        wrong = rules.shape_reasons(shape)
        reasons += wrong
        reasons += rules.reservoir_reason(amount_uu, self._c.reservoir_uu, promised_uu)
        if self._c.machine.force_required and self._c.force_mn is None:
            reasons.append(Reason("force_sensor", "the force sensor gives no true reading"))
        reasons += self._interval(limits)
        if amount_uu > 0 and not wrong:
            pieces, end_ns = self._ahead(shape)
            reasons += window_reasons(
                limits, self.past(), pieces, now_ns=self._c.now_ns, dose_end_ns=end_ns
            )
        return reasons

    def _duration_s(self, shape: rules.Shape) -> int:
        """Return how long a bolus takes, with its extended part, rounded up."""
        rate = min(rules.RATE_UU_PER_H[shape.speed], self._c.motor_pace_uu_per_h)
        return max(-(-max(0, shape.now_uu) * 3_600 // rate), shape.duration_s)

    def _interval(self, limits: Limits) -> list[Reason]:
        return interval_reason(limits, now_ns=self._c.now_ns, last_start_ns=self._last_start_ns())

    def _last_start_ns(self) -> int | None:
        """Return when the last bolus began, no earlier than this boot can prove."""
        last = self._c.book.doses.get(self._c.book.last_bolus)
        if last is None:
            return None
        here = last.start_boot == self._c.machine.boot_id
        return last.start_mono_ns if here else self._c.start_ns

    def _again(self, amount_uu: int) -> list[Reason]:
        last, start_ns = self._c.book.doses.get(self._c.book.last_bolus), self._last_start_ns()
        since_ns = None if start_ns is None else self._c.now_ns - start_ns
        return rules.again_reason(amount_uu, last.programmed_uu if last else None, since_ns)

    # ------------------------------------------------------------------ review and delivery

    def review(self, params: Mapping[str, Any], state: PumpState) -> dict[str, Any]:
        """Return what a review screen shows, with a token where nothing is against the dose."""
        shape, mechanics = _shape_of(params), self._c.machine.mechanics
        reasons = self.reasons(shape, state)
        steps = mechanics.steps_within(max(0, shape.now_uu))
        steps += mechanics.steps_within(shape.extended_uu)
        limits, past, now_ns = self._c.limits, self.past(), self._c.now_ns
        last = self._c.book.doses.get(self._c.book.last_bolus)
        return {
            "request_id": params["request_id"],
            "amount_uu": shape.amount_uu,
            "extended_uu": shape.extended_uu,
            "extended_s": shape.duration_s,
            "programmed_steps": steps,
            "duration_s": self._duration_s(shape),
            "reasons": [_reason(one) for one in reasons],
            "again": next((one.text for one in self._again(shape.amount_uu)), None),
            "token": None if reasons else self._token(params),
            "token_s": self._c.times.token_ns // (NS_PER_S * self._c.machine.speed),
            "last_bolus": _last(last) if last else None,
            "delivered_60_min_uu": sum(
                one.amount_uu for one in past if one.at_ns >= now_ns - HOUR_NS
            ),
            "left_60_min_uu": _left(past, now_ns, HOUR_NS, limits.hourly_uu if limits else 0),
            "left_24_h_uu": _left(past, now_ns, DAY_NS, limits.daily_uu if limits else 0),
            "left_single_uu": limits.max_bolus_uu if limits else 0,
        }

    def deliver(
        self, token: int, connection: int, uid: int, params: Mapping[str, Any], state: PumpState
    ) -> None:
        """Admit a bolus: durable first. The answer is the dose, whether it is new or known."""
        request_id, shape = params["request_id"], _shape_of(params)
        known = self._c.book.doses.get(request_id)
        if known is not None:
            self._answer_known(token, known, shape)
            for job in self.running:
                if job.bolus_id == request_id and params["stay"]:
                    job.connection = connection  # whoever asks again can stop it again
            return
        if request_id in self._waiting:
            coming = self._coming[request_id]
            if (coming.amount_uu, coming.extended_uu) != (shape.amount_uu, shape.extended_uu):
                self._refuse_other(token, request_id, coming.amount_uu)
            else:
                self._waiting[request_id].append(token)
            return
        reasons = self._token_reasons(params)
        correction_uu = params.get("correction_uu") or 0
        if correction_uu > shape.amount_uu:
            allowed = f"at most amount_uu = {shape.amount_uu}"
            text = f"correction_uu = {correction_uu} is more than the bolus: {allowed}"
            reasons.append(
                Reason("out_of_range", text, "correction_uu", str(correction_uu), allowed)
            )
        reasons += self.reasons(shape, state)
        reasons += [] if params.get("again") else self._again(shape.amount_uu)
        stays = params["stay"]
        if not stays and not self._other_live_stop():
            reasons.append(
                Reason(
                    "no_live_stop",
                    "no touchscreen and no stop button is live: the client has to stay connected",
                    "stay",
                    "false",
                    "true",
                )
            )
        if reasons:
            self._refuse(token, uid, params, reasons)
            return
        jobs = self._jobs(request_id, shape)
        for job in jobs:
            job.connection = connection if stays else 0
        self._waiting[request_id] = [token]
        self._coming[request_id] = shape
        self._tokens.pop(params["token"], None)
        epoch, run = self._epoch, self._motor.run
        # One transaction: both parts are entered, or neither is.
        batch = self._c.write(
            [self._intent(job, jobs, shape, uid, params) for job in jobs],
            lambda _rows: self._durable(jobs, epoch, run),
        )
        self._intents[batch] = jobs

    def _jobs(self, request_id: str, shape: rules.Shape) -> list[Job]:
        """Plan the parts: what goes out at once first, with the carry of the motor."""
        mechanics, jobs = self._c.machine.mechanics, []
        if shape.now_uu:
            taken = self._motor.take_carry()
            plan = rules.plan(shape.now_uu, shape.speed, mechanics, taken)
            jobs.append(self._job(request_id, request_id, DoseKind.BOLUS, plan, taken))
        if shape.extended_uu:
            own_id = str(uuid5(_NAMESPACE, request_id)) if jobs else request_id
            plan = rules.plan_extended(shape.extended_uu, shape.duration_s, mechanics)
            jobs.append(self._job(request_id, own_id, DoseKind.EXTENDED, plan, 0))
        return jobs

    def _job(
        self, bolus_id: str, own_id: str, kind: DoseKind, plan: rules.BolusPlan, taken: int
    ) -> Job:
        return Job(
            number=self._c.new_programme(),
            request_id=own_id,
            bolus_id=bolus_id,
            kind=kind.value,
            motion=Motion.DOSE,
            rate_uu_per_h=plan.rate_uu_per_h,
            steps=plan.steps,
            start_ns=self._c.now_ns,
            until_ns=NO_LIMIT,
            remainder=plan.remainder,
            taken=taken,
            programmed_uu=plan.amount_uu,
        )

    def _intent(
        self,
        job: Job,
        jobs: Sequence[Job],
        shape: rules.Shape,
        uid: int,
        params: Mapping[str, Any],
    ) -> Entry:
        body: dict[str, Any] = {
            "request_id": job.request_id,
            "dose": job.kind,
            "programmed_uu": job.programmed_uu,
            "programmed_steps": job.steps,
            "rate_uu_per_h": job.rate_uu_per_h,
            "programme": job.number,
            "run": self._motor.run,
            "by": f"uid {uid}",
            "whole_uu": shape.amount_uu,
            "extended_uu": shape.extended_uu,
            "duration_s": shape.duration_s,
            "part_of": "" if job.request_id == job.bolus_id else job.bolus_id,
            "extended_id": jobs[-1].request_id if job is not jobs[-1] else "",
        }
        # What a person said it is for stands with the first part alone, so that it counts once.
        if job is jobs[0]:
            correction_uu = min(params.get("correction_uu") or 0, job.programmed_uu or 0)
            body |= {"correction_uu": correction_uu} if correction_uu else {}
            body |= {"carbs_g": params["carbs_g"]} if params.get("carbs_g") else {}
        return self._c.entry("intent", body)

    def _durable(self, jobs: list[Job], epoch: int, run: int) -> None:
        bolus_id = jobs[0].bolus_id
        tokens = self._waiting.pop(bolus_id, [])
        self._coming.pop(bolus_id, None)
        self._intents = {key: some for key, some in self._intents.items() if some is not jobs}
        if run != self._motor.run or epoch != self._epoch or self._motor.phase is Phase.OFF:
            self._c.write([self._c.entry("closed", never_begun(job)) for job in jobs])
        else:
            for job in jobs:
                job.start_ns = self._c.now_ns
                if job.kind == DoseKind.EXTENDED.value:
                    self.extended = job
                else:
                    self.job = job
                self._motor.add(job)
        for token in tokens:
            self._c.add(Reply(token, Done(self.live_record(self._c.book.doses[bolus_id]))))

    def refused_by_ledger(self, batch: int) -> bool:
        """Hear that an intent's id is in an older part of the ledger: its dose is the answer."""
        jobs = self._intents.pop(batch, None)
        if jobs is None:
            return False
        for job in jobs:
            self._motor.carry += job.taken * NS_PER_H
        self._coming.pop(jobs[0].bolus_id, None)
        for token in self._waiting.pop(jobs[0].bolus_id, []):
            self._c.add(Find(token, jobs[0].bolus_id))
        return True

    def find(self, token: int, request_id: str) -> None:
        """Look an id up that the book does not hold: in an older part of the ledger."""
        self._c.add(Find(token, request_id))

    def trouble(self, text: str) -> None:
        """Tell everybody who waits that nobody knows: they ask again by id."""
        for tokens in self._waiting.values():
            for token in tokens:
                self._c.add(Reply(token, Unknown(f"the ledger gave an error: {text}")))
            tokens.clear()

    def _answer_known(self, token: int, known: Dose, shape: rules.Shape) -> None:
        if (known.whole_uu, known.extended_uu) != (shape.amount_uu, shape.extended_uu):
            self._refuse_other(token, known.request_id, known.whole_uu)
            return
        self._c.add(Reply(token, Done(self.live_record(known))))

    def _refuse_other(self, token: int, request_id: str, amount_uu: int | None) -> None:
        text = f"the id belongs to a dose of {amount_uu} uu"
        self._c.add(Reply(token, Refused([Reason("id_used", text, "request_id", request_id)])))

    def live_record(self, dose: Dose) -> dict[str, Any]:
        """Return a dose with what is known of it at this moment."""
        record = dose.record()
        job = self._motor.jobs.get(dose.programme) if dose.run == self._motor.run else None
        if dose.open and job is not None:
            record["issued_steps"] = job.issued_steps
            record["confirmed_steps"] = self._motor.confirmed_of(job)
            record["maximum_steps"] = self._motor.job_bounds(job).maximum_steps
        part = self._c.book.doses.get(dose.extended_id)
        if part is not None:
            record["extended"] = self.live_record(part)
        return record

    def shown_extended(self) -> dict[str, Any] | None:
        """Return the extended part that runs, with its rate and the time it has left."""
        job = self.extended
        dose = self._c.book.doses.get(job.request_id) if job is not None else None
        if job is None or dose is None:
            return None
        left_ns = job.start_ns + job.shift_ns + dose.duration_s * NS_PER_S - self._c.now_ns
        return {
            **self.live_record(dose),
            "rate_uu_per_h": job.rate_uu_per_h,
            "left_s": max(0, -(-left_ns // NS_PER_S)),
        }

    def _refuse(
        self, token: int, uid: int, params: Mapping[str, Any], reasons: Sequence[Reason]
    ) -> None:
        """Refuse, and record it; at most once a second, so that nobody fills the disk with
        refusals.
        """
        self._c.add(Reply(token, Refused(reasons)))
        if self._c.now_ns - self._refused_ns < _REFUSALS_KEPT_NS * self._c.machine.speed:
            return
        self._refused_ns = self._c.now_ns
        body = {
            "verb": "bolus.deliver",
            "request_id": params["request_id"],
            "programmed_uu": params["amount_uu"],
            "extended_uu": params.get("extended_uu", 0),
            "reasons": [one.text for one in reasons],
            "by": f"uid {uid}",
        }
        self._c.write([self._c.entry("refused", body)])

    def _token(self, params: Mapping[str, Any]) -> str:
        """Return a token for this dose alone: single-use, of this boot, dead after 30 s (SR-09)."""
        now_ns = self._c.now_ns
        self._tokens = {key: one for key, one in self._tokens.items() if one.dies_ns > now_ns}
        self._made += 1
        text = "|".join(
            (
                self._c.machine.boot_id,
                str(self._made),
                params["request_id"],
                repr(_shape_of(params)),
            )
        )
        token = hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
        self._tokens[token] = _Token(
            params["request_id"],
            _shape_of(params),
            now_ns + self._c.times.token_ns,
        )
        return token

    def _token_reasons(self, params: Mapping[str, Any]) -> list[Reason]:
        token = self._tokens.get(params["token"])
        if token is None or token.dies_ns <= self._c.now_ns:
            return [
                Reason("token", "the review is over or was used: review the dose again", "token")
            ]
        if (token.request_id, token.shape) != (params["request_id"], _shape_of(params)):
            return [Reason("token", "the review was of another dose: review this one", "token")]
        return []

    # ------------------------------------------------------------------ a live way to stop (SR-59)

    @property
    def beginning(self) -> bool:
        """Say whether a bolus is on its way to the disk."""
        return bool(self._waiting)

    @property
    def jobs(self) -> list[Job]:
        """Return the parts that are not closed, the one at once first."""
        return [job for job in (self.job, self.extended) if job is not None]

    @property
    def running(self) -> list[Job]:
        """Return the parts that have not ended."""
        return [job for job in self.jobs if job.ended is None]

    def heartbeat(self, connection: int) -> None:
        """Hear a touchscreen's heartbeat."""
        self._connections.add(connection)
        self._heartbeat_ns = self._c.now_ns

    def client_gone(self, connection: int) -> None:
        """Hear that a client has gone."""
        self._connections.discard(connection)

    def _other_live_stop(self) -> bool:
        if self._c.machine.stop_button:
            return True
        beat_ns = self._heartbeat_ns
        return beat_ns is not None and self._c.now_ns - beat_ns < self._c.times.live_stop_ns

    def forsaken(self) -> list[Job]:
        """Return the boluses that nobody could have stopped for three seconds."""
        if not self.jobs:
            self._dead_since_ns = {}
            return []
        stoppable, now_ns = self._other_live_stop(), self._c.now_ns
        dead = [
            job
            for job in self.running
            if not (stoppable or (job.connection and job.connection in self._connections))
        ]
        self._dead_since_ns = {
            job.number: self._dead_since_ns.get(job.number, now_ns) for job in dead
        }
        limit_ns = self._c.times.live_stop_ns
        return [job for job in dead if now_ns - self._dead_since_ns[job.number] >= limit_ns]

    def connected(self, connection: int) -> None:
        """Hear from a connection: it is there."""
        self._connections.add(connection)

    def stop(self) -> None:
        """Let no bolus begin that was asked for before now."""
        self._epoch += 1

    def closed(self, job: Job) -> None:
        """Hear that a bolus is closed."""
        if self.job is not None and self.job.number == job.number:
            self.job = None
        if self.extended is not None and self.extended.number == job.number:
            self.extended = None


def record_of_rows(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return a dose as clients read it, from its own rows; None where there is no intent among
    them.
    """
    intents = [row for row in rows if row.entry.kind == "intent"]
    if not intents:
        return None
    book = Book()
    for row in rows:
        if row.entry.kind in ("intent", "closed"):
            book.apply(row)
    return book.doses[intents[0].entry.body["request_id"]].record()


def _shape_of(params: Mapping[str, Any]) -> rules.Shape:
    return rules.Shape(
        params["amount_uu"],
        params.get("extended_uu", 0),
        params.get("extended_s", 0),
        rules.Speed(params["speed"]),
    )


def _last(dose: Dose) -> dict[str, Any]:
    """Return the bolus before this one; its amount is the whole one, both parts of a dual."""
    return {**dose.record(), "programmed_uu": dose.whole_uu, "utc_ns": dose.start_utc_ns}


def _reason(one: Reason) -> dict[str, str]:
    return {
        "code": one.code,
        "text": one.text,
        "field": one.field,
        "value": one.value,
        "range": one.range,
    }


def _left(past: Sequence[Past], now_ns: int, window_ns: int, limit_uu: int) -> int:
    return left_uu(past, now_ns=now_ns, window_ns=window_ns, limit_uu=limit_uu)
