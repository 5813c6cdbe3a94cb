"""The profile desk: up to twelve named basal profiles, each a setting of its own.

A change is a row for each profile that it touches, so that no row grows with the number of
profiles. The profile in use may be replaced, never deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.domain.basal import Profile, doubts_of
from appliance.domain.limits import Reason
from appliance.engine.basal import Basal, profile_of
from appliance.engine.book import PROFILE_SETTING
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked
from appliance.errors import BadProfile

_MAX_PROFILES = 12
_ACTIVE = "basal.active"

_Segments = list[dict[str, int]]


class ProfileDesk(Desk):
    """Keeps, names and follows basal profiles."""

    def __init__(self, context: Context, basal: Basal) -> None:
        super().__init__(context)
        self._basal = basal

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "basal.show": self._show,
            "basal.import": self._import,
            "basal.use": self._use,
            "basal.copy": self._copy,
            "basal.rename": self._rename,
            "basal.delete": self._delete,
        }

    @property
    def _profiles(self) -> Mapping[str, _Segments]:
        profiles: Mapping[str, _Segments] = self._c.book.settings.get("basal.profiles", {})
        return profiles

    @property
    def _active(self) -> str | None:
        active: str | None = self._c.book.settings.get(_ACTIVE)
        return active

    def _show(self, asked: Asked) -> None:
        self._done(
            asked,
            {
                "active": self._active,
                "profiles": self._profiles,
                "rate_uu_per_h": self._basal.rate_uu_per_h(),
            },
        )

    # ------------------------------------------------------------------ a new one

    def _import(self, asked: Asked) -> None:
        name, segments = asked.params["name"], _segments_of(asked.params)
        faults = _uneven(asked.params)
        profile: Profile | None = None
        try:
            profile = profile_of(name, segments)
        except BadProfile as fault:
            faults += fault.faults
        if faults or profile is None:
            self._refuse(asked, [Reason("bad_profile", text) for text in faults])
            return
        old = self._profiles.get(name)
        reasons = []
        if old is not None and not asked.params["replace"]:
            text = f"a profile {name!r} is there already: say --replace"
            reasons.append(Reason("exists", text, "name", name))
        reasons += self._one_too_many(name)
        reasons += self._over_limit(profile)
        if not asked.params.get("confirm", False):
            reasons += [
                Reason(
                    "confirm", f"{text}: say --yes where that is meant", "confirm", "false", "true"
                )
                for text in doubts_of(profile.segments)
            ]
        if reasons:
            self._refuse(asked, reasons)
            return
        then = self._basal.anchor_anew if self._active == name else None
        setting = PROFILE_SETTING + name
        self._change(asked, [(setting, old, segments)], {"name": name, "new": segments}, then)

    def _one_too_many(self, name: str) -> list[Reason]:
        if name in self._profiles or len(self._profiles) < _MAX_PROFILES:
            return []
        return [Reason("too_many", f"there are {_MAX_PROFILES} profiles already", "name", name)]

    def _over_limit(self, profile: Profile) -> list[Reason]:
        limits = self._c.limits
        most = limits.max_basal_uu_per_h if limits else self._c.machine.ceilings.max_basal_uu_per_h
        return [
            Reason(
                "over_limit",
                f"{profile.name}: segments[{at}].rate_uu_per_h = {one.rate_uu_per_h} is over the "
                f"limit of {most}",
                "rate_uu_per_h",
                str(one.rate_uu_per_h),
                f"up to {most}",
            )
            for at, one in enumerate(profile.segments)
            if one.rate_uu_per_h > most
        ]

    # ------------------------------------------------------------------ one that is there

    def _use(self, asked: Asked) -> None:
        name = asked.params["name"]
        reasons = self._unknown(name)
        if not reasons:
            reasons = self._over_limit(profile_of(name, self._profiles[name]))
        if reasons:
            self._refuse(asked, reasons)
            return
        self._set(asked, _ACTIVE, name, self._basal.anchor_anew)

    def _copy(self, asked: Asked) -> None:
        name, new_name = asked.params["name"], asked.params["new_name"]
        reasons = [*self._unknown(name), *self._taken(new_name), *self._one_too_many(new_name)]
        if reasons:
            self._refuse(asked, reasons)
            return
        segments = self._profiles[name]
        change = (PROFILE_SETTING + new_name, None, segments)
        self._change(asked, [change], {"name": new_name, "new": segments})

    def _rename(self, asked: Asked) -> None:
        name, new_name = asked.params["name"], asked.params["new_name"]
        reasons = [*self._unknown(name), *self._taken(new_name)]
        if reasons:
            self._refuse(asked, reasons)
            return
        segments = self._profiles[name]
        changes: list[tuple[str, object, object]] = [
            (PROFILE_SETTING + new_name, None, segments),
            (PROFILE_SETTING + name, segments, None),
        ]
        if self._active == name:  # the same rates go on under another name
            changes.insert(1, (_ACTIVE, name, new_name))
        self._change(asked, changes, {"name": new_name, "new": segments})

    def _delete(self, asked: Asked) -> None:
        name = asked.params["name"]
        reasons = self._unknown(name)
        if self._active == name:
            text = f"the profile {name!r} is in use: follow another one first"
            reasons.append(Reason("in_use", text, "name", name))
        if reasons:
            self._refuse(asked, reasons)
            return
        change = (PROFILE_SETTING + name, self._profiles[name], None)
        self._change(asked, [change], {"name": name, "new": None})

    def _unknown(self, name: str) -> list[Reason]:
        if name in self._profiles:
            return []
        known = ", ".join(sorted(self._profiles)) or "none"
        return [Reason("unknown_profile", f"no profile {name!r}; known: {known}", "name", name)]

    def _taken(self, name: str) -> list[Reason]:
        try:
            profile_of(name, [{"start_min_of_day": 0, "rate_uu_per_h": 0}])
        except BadProfile as fault:
            return [Reason("bad_profile", text, "new_name", name) for text in fault.faults]
        if name not in self._profiles:
            return []
        return [Reason("exists", f"a profile {name!r} is there already", "new_name", name)]


# Of what a segment carries for a calculator there is a column each, so that 48 segments with all
# of it still fit into one request.
_COLUMNS: Mapping[str, str] = {
    "carb_ratio_mg_per_u": "carb_ratios_mg_per_u",
    "sensitivity_mg_dl_per_u": "sensitivities_mg_dl_per_u",
    "target_mg_dl": "targets_mg_dl",
}


def _segments_of(params: Mapping[str, Any]) -> _Segments:
    """Return the segments, each with what the columns beside them say of it."""
    segments = [dict(one) for one in params["segments"]]
    for key, column in _COLUMNS.items():
        for segment, number in zip(segments, params.get(column) or [], strict=False):
            if number is not None:
                segment[key] = number
    return segments


def _uneven(params: Mapping[str, Any]) -> list[str]:
    asked = len(params["segments"])
    return [
        f"{column}: one for each of the {asked} segments, not {len(params[column])}"
        for column in _COLUMNS.values()
        if params.get(column) is not None and len(params[column]) != asked
    ]
