"""The preferences desk: how the pump speaks and looks, where it stands, what it is loaded with.

None of them is a rule for a dose. What was never chosen is null, so that a first start knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.domain.limits import Reason
from appliance.domain.set_change import fluid_reasons
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked, UseZone

SETTING = "preferences"
"""The setting's name in the ledger."""
NAMES = ("language", "theme", "speed", "zone", "fluid", "syringe_uu")


class PreferencesDesk(Desk):
    """Keeps what a person chose; the zone moves local time, and the schedule is anchored anew."""

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {"preferences.show": self._show, "preferences.set": self._set_preferences}

    def _preferences(self) -> dict[str, Any]:
        chosen: dict[str, Any] = dict.fromkeys(NAMES)
        return chosen | dict(self._c.book.settings.get(SETTING, {}))

    def in_snapshot(self) -> Mapping[str, Any]:
        machine, chosen = self._c.machine, self._preferences()
        return {
            "preferences": chosen,
            "zone": chosen["zone"] or machine.zone,
            "syringe": {
                "capacity_uu": machine.capacity_uu,
                "bore_um": machine.line.bore_um,
                "u_per_ml": machine.line.concentration_u_per_ml,
            },
        }

    def _show(self, asked: Asked) -> None:
        self._done(asked, {"preferences": self._preferences()})

    def _set_preferences(self, asked: Asked) -> None:
        given = {name: one for name, one in asked.params.items() if one is not None}
        if reasons := self._reasons(given):
            self._refuse(asked, reasons)
            return

        def chosen() -> None:
            if "zone" in given:
                self._c.add(UseZone(given["zone"]))

        self._set(asked, SETTING, self._preferences() | given, chosen)

    def _reasons(self, given: Mapping[str, Any]) -> list[Reason]:
        machine, reasons = self._c.machine, []
        zone, size_uu = given.get("zone"), given.get("syringe_uu")
        if zone is not None and zone not in machine.zones:
            allowed = "a zone of the tz database, such as Europe/Berlin"
            text = f"zone = {zone!r} is not known here: {allowed}"
            reasons.append(Reason("bad_zone", text, "zone", zone, allowed))
        if size_uu is not None and not 0 < size_uu <= machine.capacity_uu:
            allowed = f"1 to {machine.capacity_uu}"
            text = f"syringe_uu = {size_uu} is out of range: {allowed}"
            reasons.append(Reason("out_of_range", text, "syringe_uu", str(size_uu), allowed))
        if "fluid" in given:
            reasons += fluid_reasons(given["fluid"], "fluid")
        return reasons
