"""The settings desk: limits and the quick bolus, changed by a durable row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from appliance.domain.limits import DOSE_GRID_UU, MIN_DOSE_UU, Limits, Reason, faults_of
from appliance.engine.basal import Basal
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked
from appliance.engine.motor import Motor

_MAX_QUICK_UU = 5_000_000


class SettingsDesk(Desk):
    """Checks what is to be set against the machine's ceilings and what is in use."""

    def __init__(self, context: Context, motor: Motor, basal: Basal) -> None:
        super().__init__(context)
        self._motor = motor
        self._basal = basal

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "quick.show": self._show_quick,
            "quick.set": self._set_quick,
            "limits.show": self._show_limits,
            "limits.set": self._set_limits,
        }

    # ------------------------------------------------------------------ the quick bolus

    def _show_quick(self, asked: Asked) -> None:
        self._done(asked, {"step_uu": self._c.book.settings.get("quick_step_uu")})

    def _set_quick(self, asked: Asked) -> None:
        step_uu = asked.params["step_uu"]
        if not MIN_DOSE_UU <= step_uu <= _MAX_QUICK_UU or step_uu % DOSE_GRID_UU:
            allowed = f"{MIN_DOSE_UU} to {_MAX_QUICK_UU}, in steps of {DOSE_GRID_UU}"
            text = f"step_uu = {step_uu} is out of range: {allowed}"
            self._refuse(asked, [Reason("out_of_range", text, "step_uu", str(step_uu), allowed)])
            return
        self._set(asked, "quick_step_uu", step_uu)

    # ------------------------------------------------------------------ limits

    def _show_limits(self, asked: Asked) -> None:
        limits = self._c.limits
        self._done(
            asked,
            {
                "limits": asdict(limits) if limits else None,
                "ceilings": asdict(self._c.machine.ceilings),
            },
        )

    def _set_limits(self, asked: Asked) -> None:
        limits = Limits(**asked.params)
        reasons = faults_of(limits, self._c.machine.ceilings)
        profile = self._basal.profile
        if profile and any(
            one.rate_uu_per_h > limits.max_basal_uu_per_h for one in profile.segments
        ):
            reasons.append(
                Reason(
                    "over_limit",
                    f"profile {profile.name!r} in use asks for more than this maximum",
                    "max_basal_uu_per_h",
                    str(limits.max_basal_uu_per_h),
                )
            )
        if reasons:
            self._refuse(asked, reasons)
        else:
            self._set(asked, "limits", asdict(limits), self._basal.limits_changed)
