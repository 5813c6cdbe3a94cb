"""The bolus desk: review, admission, delivery, and a live way to stop.

The client makes the request id when its review opens. The same id gives the same dose, whatever
happened in between. Every refusal names every reason.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
from appliance.ports import Row
from appliance.records import NO_LIMIT, Motion

_SYNC_DOUBT_NS = 5 * NS_PER_S
_REFUSALS_KEPT_NS = NS_PER_S


@dataclass(frozen=True, slots=True)
class _Token:
    request_id: str
    amount_uu: int
    speed: str
    dies_ns: int


class BolusDesk:
    """Admits one bolus at a time and watches over it."""

    def __init__(self, context: Context, motor: Motor, basal: Basal, secret: bytes) -> None:
        self._c = context
        self._motor = motor
        self._basal = basal
        self._secret = secret
        self._windows = Windows(context.book, context.machine.mechanics, context.machine.boot_id)
        self._tokens: dict[str, _Token] = {}
        self._made = 0
        self._waiting: dict[str, list[int]] = {}
        self._intents: dict[int, Job] = {}
        self._epoch = 0
        self.job: Job | None = None
        self._connections: set[int] = set()
        self._heartbeat_ns: int | None = None
        self._dead_since_ns: int | None = None
        self._refused_ns = -_REFUSALS_KEPT_NS

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

    def _ahead(self, plan: rules.BolusPlan) -> tuple[list[Piece], int]:
        now_ns = self._c.now_ns
        pace = self._c.motor_pace_uu_per_h
        rate = min(plan.rate_uu_per_h, pace)
        end_ns = now_ns + plan.amount_uu * NS_PER_H // rate + 1
        pieces = self._basal.plan(end_ns + DAY_NS)
        return [*pieces, Piece(now_ns, end_ns, rate)], end_ns

    def reasons(self, amount_uu: int, plan: rules.BolusPlan, state: PumpState) -> list[Reason]:
        """List every reason against a bolus now; an empty list means go."""
        limits = self._c.limits
        reasons = rules.state_reasons(
            state, running_bolus=self.job is not None or bool(self._waiting), self_test=True
        )
        if self._c.trouble:
            reasons.append(Reason("ledger", f"the ledger cannot be written: {self._c.trouble}"))
        if limits is None:
            reasons.append(Reason("no_limits", "no limits are set: pumpctl limits set"))
            return [*reasons, *rules.reservoir_reason(amount_uu, self._c.reservoir_uu)]
        reasons += rules.amount_reasons(amount_uu, limits, self._c.machine.ceilings.max_bolus_uu)
        reasons += rules.reservoir_reason(amount_uu, self._c.reservoir_uu)
        if self._c.machine.force_required and self._c.force_mn is None:
            reasons.append(Reason("force_sensor", "the force sensor gives no true reading"))
        reasons += self._interval(limits)
        if amount_uu > 0:
            pieces, end_ns = self._ahead(plan)
            reasons += window_reasons(
                limits, self.past(), pieces, now_ns=self._c.now_ns, dose_end_ns=end_ns
            )
        return reasons

    def _interval(self, limits: Limits) -> list[Reason]:
        last = self._c.book.doses.get(self._c.book.last_bolus)
        if last is None:
            return []
        start_ns = (
            last.start_mono_ns if last.start_boot == self._c.machine.boot_id else self._c.start_ns
        )
        return interval_reason(limits, now_ns=self._c.now_ns, last_start_ns=start_ns)

    # ------------------------------------------------------------------ review and delivery

    def review(self, params: Mapping[str, Any], state: PumpState) -> dict[str, Any]:
        """Return what a review screen shows, with a token where nothing is against the dose."""
        speed = rules.Speed(params["speed"])
        amount_uu = params["amount_uu"]
        plan = rules.plan(amount_uu, speed, self._c.machine.mechanics)
        reasons = self.reasons(amount_uu, plan, state)
        limits, past, now_ns = self._c.limits, self.past(), self._c.now_ns
        last = self._c.book.doses.get(self._c.book.last_bolus)
        duration_ns = (
            plan.amount_uu * NS_PER_H // min(plan.rate_uu_per_h, self._c.motor_pace_uu_per_h)
        )
        return {
            "request_id": params["request_id"],
            "amount_uu": amount_uu,
            "programmed_steps": plan.steps,
            "duration_s": -(-duration_ns // NS_PER_S),
            "reasons": [_reason(one) for one in reasons],
            "token": None if reasons else self._token(params),
            "token_s": self._c.times.token_ns // (NS_PER_S * self._c.machine.speed),
            "last_bolus": {**last.record(), "utc_ns": last.start_utc_ns} if last else None,
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
        request_id, amount_uu = params["request_id"], params["amount_uu"]
        known = self._c.book.doses.get(request_id)
        if known is not None:
            self._answer_known(token, known, amount_uu)
            if self.job is not None and self.job.request_id == request_id and params["stay"]:
                self.job.connection = connection  # whoever asks again can stop it again
            return
        if request_id in self._waiting:
            coming = next(j for j in self._intents.values() if j.request_id == request_id)
            if coming.programmed_uu != amount_uu:
                self._refuse_other(token, request_id, coming.programmed_uu)
            else:
                self._waiting[request_id].append(token)
            return
        plan = rules.plan(amount_uu, rules.Speed(params["speed"]), self._c.machine.mechanics)
        reasons = self._token_reasons(params)
        reasons += self.reasons(amount_uu, plan, state)
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
        taken = self._motor.take_carry()
        plan = rules.plan(amount_uu, rules.Speed(params["speed"]), self._c.machine.mechanics, taken)
        job = Job(
            number=self._c.new_programme(),
            request_id=request_id,
            kind=DoseKind.BOLUS.value,
            motion=Motion.DOSE,
            rate_uu_per_h=plan.rate_uu_per_h,
            steps=plan.steps,
            start_ns=self._c.now_ns,
            until_ns=NO_LIMIT,
            remainder=plan.remainder,
            taken=taken,
            programmed_uu=amount_uu,
            connection=connection if stays else 0,
        )
        body = {
            "request_id": request_id,
            "dose": job.kind,
            "programmed_uu": amount_uu,
            "programmed_steps": plan.steps,
            "rate_uu_per_h": plan.rate_uu_per_h,
            "programme": job.number,
            "run": self._motor.run,
            "by": f"uid {uid}",
        }
        self._waiting[request_id] = [token]
        self._tokens.pop(params["token"], None)
        epoch, run = self._epoch, self._motor.run
        batch = self._c.write(
            [self._c.entry("intent", body)], lambda _rows: self._durable(job, epoch, run)
        )
        self._intents[batch] = job

    def _durable(self, job: Job, epoch: int, run: int) -> None:
        tokens = self._waiting.pop(job.request_id, [])
        self._intents = {key: one for key, one in self._intents.items() if one is not job}
        dose = self._c.book.doses[job.request_id]
        if run != self._motor.run or epoch != self._epoch or self._motor.phase is Phase.OFF:
            self._c.write([self._c.entry("closed", never_begun(job))])
        else:
            job.start_ns = self._c.now_ns
            self.job = job
            self._motor.add(job)
        for token in tokens:
            self._c.add(Reply(token, Done(dose.record())))

    def refused_by_ledger(self, batch: int) -> bool:
        """Hear that an intent's id is in an older part of the ledger: its dose is the answer."""
        job = self._intents.pop(batch, None)
        if job is None:
            return False
        self._motor.carry += job.taken * NS_PER_H
        for token in self._waiting.pop(job.request_id, []):
            self._c.add(Find(token, job.request_id))
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

    def _answer_known(self, token: int, known: Dose, amount_uu: int) -> None:
        if known.programmed_uu != amount_uu:
            self._refuse_other(token, known.request_id, known.programmed_uu)
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
        return record

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
                str(params["amount_uu"]),
                params["speed"],
            )
        )
        token = hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
        self._tokens[token] = _Token(
            params["request_id"],
            params["amount_uu"],
            params["speed"],
            now_ns + self._c.times.token_ns,
        )
        return token

    def _token_reasons(self, params: Mapping[str, Any]) -> list[Reason]:
        token = self._tokens.get(params["token"])
        wanted = (params["request_id"], params["amount_uu"], params["speed"])
        if token is None or token.dies_ns <= self._c.now_ns:
            return [
                Reason("token", "the review is over or was used: review the dose again", "token")
            ]
        if (token.request_id, token.amount_uu, token.speed) != wanted:
            return [Reason("token", "the review was of another dose: review this one", "token")]
        return []

    # ------------------------------------------------------------------ a live way to stop (SR-59)

    @property
    def beginning(self) -> bool:
        """Say whether a bolus is on its way to the disk."""
        return bool(self._waiting)

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

    def forsaken(self) -> bool:
        """Say whether a bolus runs that nobody could stop for three seconds."""
        job = self.job
        if job is None or job.ended is not None:
            self._dead_since_ns = None
            return False
        connected = job.connection != 0 and job.connection in self._connections
        if connected or self._other_live_stop():
            self._dead_since_ns = None
        elif self._dead_since_ns is None:
            self._dead_since_ns = self._c.now_ns
        elif self._c.now_ns - self._dead_since_ns >= self._c.times.live_stop_ns:
            return True
        return False

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
