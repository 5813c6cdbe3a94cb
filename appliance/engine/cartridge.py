"""The cartridge desk: rewind, load, prime, fill the cannula, finish; each accounted apart.

A step that moves the motor needs two confirmations: what the person declares, and then a question
with a token of its own. None of them is a dose: their rows say what they were, no window counts
them, and the reservoir does.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from appliance.domain.alarms import AlarmCode
from appliance.domain.limits import Reason
from appliance.domain.outcomes import DoseKind
from appliance.domain.set_change import (
    KINDS,
    NEXT,
    RUN_NS,
    UNFINISHED_NS,
    Step,
    amount_reasons,
    fluid_reasons,
)
from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_H, NS_PER_S
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked, Done, Refused, Reply
from appliance.engine.motor import Job, Motor, Phase
from appliance.ports import Row
from appliance.records import NO_LIMIT, Motion

_NAMESPACE = UUID("3b0f5c0e-6a57-5f0e-9d0c-2b8f0a8f3c55")
_EVENT_OF = {Step.REWIND: "rewound", Step.PRIME: "primed", Step.CANNULA: "filled"}
_RENEWS = {Step.PRIME: ["tubing"], Step.CANNULA: ["cannula"], Step.REWIND: []}
_MOTION = {Step.REWIND: Motion.REWIND, Step.PRIME: Motion.PRIME, Step.CANNULA: Motion.PRIME}
_LOOK_NS = NS_PER_S


@dataclass(slots=True)
class _Asked:
    """A step that was declared, and waits for its second confirmation until ``dies_ns``."""

    step: Step
    amount_uu: int
    dies_ns: int


class CartridgeDesk(Desk):
    """Guides a change of cartridge and set."""

    def __init__(
        self,
        context: Context,
        motor: Motor,
        alarms: AlarmBoard,
        state: Callable[[], PumpState],
        self_test: Callable[[], None],
        secret: bytes,
    ) -> None:
        """``self_test`` begins a run for the motor where there is none: after a fault."""
        super().__init__(context)
        self._motor = motor
        self._alarms = alarms
        self._state = state
        self._self_test = self_test
        self._secret = secret
        self._tokens: dict[str, _Asked] = {}
        self._made = 0
        self._job: tuple[Step, Job] | None = None
        self._waiting: tuple[Asked, Step, int] | None = None
        self._writing = False
        self._quiet_since_ns = context.now_ns
        self._next_look_ns = context.now_ns

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "cartridge.show": self._show,
            "cartridge.prepare": self._prepare,
            "cartridge.run": self._run,
            "cartridge.load": self._load,
            "cartridge.finish": self._finish,
        }

    @property
    def wants_motor(self) -> bool:
        """Say whether a step waits for the self-test: then the pump is not to deliver after it."""
        return self._waiting is not None

    def in_snapshot(self) -> Mapping[str, Any]:
        return {"cartridge": self._shown()}

    def _shown(self) -> dict[str, Any]:
        change, mechanics = self._c.book.set_change, self._c.machine.mechanics
        cartridge = self._c.book.settings.get("cartridge") or {}

        def age_h(part: str) -> int | None:
            since_ns = change.get(f"{part}_utc_ns")
            return None if since_ns is None else max(0, self._c.utc_ns - since_ns) // NS_PER_H

        running = self._job
        return {
            "loaded_uu": cartridge.get("amount_uu"),
            "kind": cartridge.get("kind"),
            "size_uu": cartridge.get("size_uu"),
            "last": change.get("event"),
            "to_do": NEXT.get(change.get("event", "")),
            "running": running[0].value if running else None,
            "dose": self._running_dose(),
            "reservoir_age_h": age_h("reservoir"),
            "tubing_age_h": age_h("tubing"),
            "cannula_age_h": age_h("cannula"),
            "wasted_uu": {
                part: mechanics.uu_of(change.get(f"wasted_{part}_steps", 0))
                for part in ("prime", "cannula", "left")
            },
        }

    def _running_dose(self) -> dict[str, Any] | None:
        """Return the record, so far, of the step that runs; None where none does."""
        job = self._job[1] if self._job else None
        dose = self._c.book.doses.get(job.request_id) if job else None
        if job is None or dose is None:
            return None
        record = dose.record()
        if dose.open and self._motor.jobs.get(job.number) is job:
            record["issued_steps"] = job.issued_steps
            record["confirmed_steps"] = self._motor.confirmed_of(job)
            record["maximum_steps"] = self._motor.job_bounds(job).maximum_steps
        return record

    def _show(self, asked: Asked) -> None:
        sites = self._c.book.set_change.get("sites", [])
        self._done(asked, {**self._shown(), "sites": list(reversed(sites))})

    # ------------------------------------------------------------------ two confirmations

    def _reasons(self, step: Step, amount_uu: int) -> list[Reason]:
        reasons = []
        if self._state() in (PumpState.RUNNING, PumpState.STARTING):
            text = "basal runs: pumpctl suspend first"
            if self._state() is PumpState.STARTING:
                text = "the self-test is running"
            reasons.append(Reason("state", text, "state", self._state().value))
        if self._motor.phase not in (Phase.IDLE, Phase.OFF) or self._job or self._waiting:
            reasons.append(Reason("moving", "the motor is busy: wait, or stop it"))
        reasons += [
            Reason("alarm", f"alarm {one.number} ({one.text}) comes first: acknowledge it")
            for one in self._alarms.blocking()
        ]
        if self._c.trouble:
            reasons.append(Reason("ledger", f"the ledger cannot be written: {self._c.trouble}"))
        return reasons + amount_reasons(step, amount_uu, self._c.reservoir_uu)

    def _prepare(self, asked: Asked) -> None:
        """Take the first confirmation, what the person declares; give a token for the second."""
        step, amount_uu = Step(asked.params["step"]), asked.params["amount_uu"]
        reasons = self._reasons(step, amount_uu)
        if not asked.params["declared"]:
            text = f"first declare that {KINDS[step].declaration}"
            reasons.append(Reason("undeclared", text, "declared", "false", "true"))
        if reasons:
            self._refuse(asked, reasons)
            return
        self._made += 1
        text = f"{self._c.machine.boot_id}|set|{self._made}|{step.value}|{amount_uu}"
        token = hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
        dies_ns = self._c.now_ns + self._c.times.token_ns
        self._tokens = {token: _Asked(step, amount_uu, dies_ns)}
        self._done(asked, {"token": token, "question": KINDS[step].question})

    def _run(self, asked: Asked) -> None:
        """Take the second confirmation, and move."""
        step, amount_uu = Step(asked.params["step"]), asked.params["amount_uu"]
        known = self._tokens.pop(asked.params["token"], None)
        reasons = self._reasons(step, amount_uu)
        if known is None or known.dies_ns <= self._c.now_ns:
            reasons.append(Reason("token", "the question is over or was answered: ask anew"))
        elif (known.step, known.amount_uu) != (step, amount_uu):
            reasons.append(Reason("token", "the question was another one: ask anew"))
        if reasons:
            self._refuse(asked, reasons)
            return
        self._waiting = (asked, step, amount_uu)
        if self._motor.phase is Phase.OFF:
            self._self_test()

    def self_test_failed(self, reasons: Sequence[Reason]) -> None:
        """Hear that there is no run for the motor."""
        if self._waiting is not None:
            self._c.add(Reply(self._waiting[0].token, Refused(reasons)))
            self._waiting = None

    # ------------------------------------------------------------------ motion

    def tend(self) -> None:
        """Begin what waits for the motor, write down what has ended, and remind of the rest."""
        idle = self._motor.phase is Phase.IDLE and self._state() is not PumpState.STARTING
        if self._waiting is not None and idle and not self._writing:
            self._begin(*self._waiting)
        if self._job is not None:
            dose = self._c.book.doses.get(self._job[1].request_id)
            if dose is not None and not dose.open:
                self._ended(self._job[0], dose.record())
        if self._c.now_ns >= self._next_look_ns:
            self._next_look_ns = self._c.now_ns + _LOOK_NS
            self._remind()

    def _begin(self, asked: Asked, step: Step, amount_uu: int) -> None:
        kind, mechanics = KINDS[step], self._c.machine.mechanics
        amount_uu = kind.most_uu if step is Step.REWIND else amount_uu
        steps, _ = mechanics.split(amount_uu, 0)
        number = self._c.new_programme()
        job = Job(
            number=number,
            request_id=str(uuid5(_NAMESPACE, f"{self._motor.run}/{number}")),
            kind=kind.dose.value,
            motion=_MOTION[step],
            rate_uu_per_h=kind.rate_uu_per_h,
            steps=steps,
            start_ns=self._c.now_ns,
            until_ns=NO_LIMIT,
            programmed_uu=amount_uu,
        )
        body = {
            "request_id": job.request_id,
            "dose": job.kind,
            "programmed_uu": amount_uu,
            "programmed_steps": steps,
            "rate_uu_per_h": job.rate_uu_per_h,
            "programme": number,
            "run": self._motor.run,
            "by": f"uid {asked.uid}",
        }
        entries = [self._c.entry("intent", body)]
        if step is Step.REWIND:
            entries = [*self._unload(asked), *entries]
        self._writing = True

        def durable(_rows: Sequence[Row]) -> None:
            self._writing, self._waiting = False, None
            self._job = (step, job)
            job.start_ns = self._c.now_ns
            if step is not Step.REWIND:
                job.until_ns = job.start_ns + RUN_NS * self._c.machine.speed
            self._motor.add(job)
            self._c.add(Reply(asked.token, Done(self._c.book.doses[job.request_id].record())))

        self._c.write(entries, durable)

    def _unload(self, asked: Asked) -> list[Any]:
        """Return the rows by which a cartridge is no longer there, and what was left in it."""
        old, held_uu = self._c.book.settings.get("cartridge"), self._c.reservoir_uu
        if old is None:
            return []
        left_steps = self._c.machine.mechanics.steps_within(held_uu or 0)
        body = {"name": "cartridge", "old": old, "new": None, "by": f"uid {asked.uid}"}
        out = {"event": "out", "by": f"uid {asked.uid}", "wasted_steps": {"left": left_steps}}
        return [self._c.entry("setting", body), self._c.entry("set_change", out)]

    def _ended(self, step: Step, record: Mapping[str, Any]) -> None:
        self._job = None
        if record["outcome"] != "done":
            return
        body: dict[str, Any] = {"event": _EVENT_OF[step], "request_id_of": record["id"]}
        body["renews"] = _RENEWS[step]
        if step is not Step.REWIND:
            part = "prime" if record["kind"] == DoseKind.PRIME.value else "cannula"
            body["wasted_steps"] = {part: record["confirmed_steps"]}
        self._c.write([self._c.entry("set_change", body)])

    def _remind(self) -> None:
        change = self._c.book.set_change
        to_do = NEXT.get(change.get("event", ""))
        if to_do is None or self._job or self._waiting:
            self._quiet_since_ns = self._c.now_ns
            self._alarms.clear(AlarmCode.UNFINISHED)
        elif self._alarms.is_active(AlarmCode.UNFINISHED):
            self._quiet_since_ns = self._c.now_ns
        elif self._c.now_ns - self._quiet_since_ns >= UNFINISHED_NS:
            self._alarms.raise_(AlarmCode.UNFINISHED, f"the set is unfinished: {to_do}")

    # ------------------------------------------------------------------ load, finish

    def _load(self, asked: Asked) -> None:
        amount_uu, capacity_uu = asked.params["amount_uu"], self._c.machine.capacity_uu
        kind = asked.params.get("kind") or "test"
        size_uu = asked.params.get("size_uu") or capacity_uu
        reasons = list(fluid_reasons(kind))
        if self._motor.phase not in (Phase.IDLE, Phase.OFF):
            reasons.append(Reason("moving", "the motor is delivering: stop first"))
        for name, number, most in (
            ("amount_uu", amount_uu, min(size_uu, capacity_uu)),
            ("size_uu", size_uu, capacity_uu),
        ):
            if not 0 < number <= most:
                text = f"{name} = {number} is out of range: up to {most}"
                reasons.append(Reason("out_of_range", text, name, str(number), f"1 to {most}"))
        if reasons:
            self._refuse(asked, reasons)
            return
        new = {"amount_uu": amount_uu, "kind": kind, "size_uu": size_uu}
        guided = self._c.book.set_change.get("event") == "rewound"
        body = {
            "event": "loaded" if guided else "declared",
            "by": f"uid {asked.uid}",
            "renews": ["reservoir"],
        }
        self._c.write([self._c.entry("set_change", body)])
        self._set(asked, "cartridge", new)

    def _finish(self, asked: Asked) -> None:
        site = asked.params["site"]
        if self._job or self._waiting:
            self._refuse(asked, [Reason("moving", "a step still runs: wait, or stop it")])
            return
        body = {"event": "finished", "by": f"uid {asked.uid}", "site": site}
        if site is not None:
            body["renews"] = ["cannula"]
        self._c.write(
            [self._c.entry("set_change", body)], lambda _rows: self._done(asked, {"site": site})
        )
