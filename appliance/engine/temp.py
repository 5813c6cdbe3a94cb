"""Temporary basal: at most one at a time, in the ledger from its start to its end.

Its time is counted on the monotonic clock, over a suspend as well. A new one ends the old one at
its start; at its end the profile returns. Over a restart on the same boot it goes on with what time
is left; over another boot only where both clocks were synchronised, because else nobody knows how
long the pump was off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from appliance.domain.basal import Profile
from appliance.domain.limits import Reason
from appliance.domain.states import PumpState
from appliance.domain.temp import MAX_PRESETS, Temp, TempKind, faults_of
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S, format_rate
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked
from appliance.ports import ClockQuality, Entry, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.engine.basal import Basal


class TempBasal:
    """The temporary basal that runs, on this boot's clock."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self._writing = False

    def at(self, at_ns: int) -> Temp | None:
        """Return the one in force at an instant from now on, or None."""
        row = self._c.book.temp
        if row is None or row.boot != self._c.machine.boot_id or at_ns >= row.until_mono_ns:
            return None
        return Temp(TempKind(row.kind), row.value, row.duration_s)

    @property
    def until_ns(self) -> int | None:
        """Return when it ends; None where none runs."""
        row = self._c.book.temp
        return row.until_mono_ns if row is not None and self.at(self._c.now_ns) else None

    def turn(self) -> None:
        """Take one over from another boot, and record the end of one whose time is over."""
        row = self._c.book.temp
        if row is None or self._writing or self._c.trouble:
            return
        if row.boot != self._c.machine.boot_id:
            self._take_over()
        elif self._c.now_ns >= row.until_mono_ns:
            self._write(self.ended("its time is over"))

    def _take_over(self) -> None:
        row, reading = self._c.book.temp, self._c.reading
        assert row is not None  # noqa: S101 - the caller looked
        synchronised = ClockQuality.SYNCHRONISED
        if row.clock != synchronised.value or reading.quality is not synchronised:
            self._write(self.ended("how long the pump was off is not known"))
        elif self._c.utc_ns >= row.until_utc_ns:
            self._write(self.ended("its time was over before the pump came back"))
        else:
            left_ns = min(row.until_utc_ns - self._c.utc_ns, row.duration_s * NS_PER_S)
            temp = Temp(TempKind(row.kind), row.value, row.duration_s)
            self._write([self.entry("goes_on", row.number, temp, left_ns)])

    def _write(self, entries: Sequence[Entry]) -> None:
        self._writing = True

        def durable(_rows: Sequence[Row]) -> None:
            self._writing = False

        self._c.write(entries, durable)

    def entry(self, event: str, number: int, temp: Temp, left_ns: int, **more: object) -> Entry:
        """Return the row of one that begins or goes on from now for ``left_ns``."""
        body = {
            "event": event,
            "number": number,
            "temp": temp.kind.value,
            "value": temp.value,
            "duration_s": temp.duration_s,
            "until_mono_ns": self._c.now_ns + left_ns,
            "until_utc_ns": self._c.utc_ns + left_ns,
            **more,
        }
        return self._c.entry("temp", body)

    def ended(self, why: str) -> list[Entry]:
        """Return the row that ends the one in the book; none where there is none."""
        row = self._c.book.temp
        if row is None:
            return []
        body = {
            "event": "ended",
            "number": row.number,
            "temp": row.kind,
            "value": row.value,
            "why": why,
        }
        return [self._c.entry("temp", body)]

    def shown(self, scheduled_uu_per_h: int) -> dict[str, Any] | None:
        """Return it as clients see it, with the time it has left; None where none runs."""
        temp, until_ns = self.at(self._c.now_ns), self.until_ns
        if temp is None or until_ns is None:
            return None
        most = self._c.limits.max_basal_uu_per_h if self._c.limits else 0
        return {
            "kind": temp.kind.value,
            "value": temp.value,
            "duration_s": temp.duration_s,
            "left_s": -(-(until_ns - self._c.now_ns) // NS_PER_S),
            "rate_uu_per_h": temp.rate_uu_per_h(scheduled_uu_per_h, most),
            "capped": temp.wanted_uu_per_h(scheduled_uu_per_h) > most,
        }


class TempDesk(Desk):
    """Begins and cancels a temporary basal, and keeps presets."""

    def __init__(
        self, context: Context, temp: TempBasal, basal: Basal, state: Callable[[], PumpState]
    ) -> None:
        super().__init__(context)
        self._temp = temp
        self._basal = basal
        self._state = state

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "temp.start": self._start,
            "temp.use": self._use,
            "temp.cancel": self._cancel,
            "temp.presets": self._show_presets,
            "temp.save": self._save_preset,
            "temp.delete": self._delete_preset,
        }

    # ------------------------------------------------------------------ start and cancel

    def _use(self, asked: Asked) -> None:
        saved = self._presets.get(asked.params["name"])
        if saved is None:
            self._refuse(asked, [self._unknown(asked.params["name"])])
        else:
            self._admit(asked, _temp_of(saved))

    def _start(self, asked: Asked) -> None:
        self._admit(asked, _temp_of(asked.params))

    def _admit(self, asked: Asked, temp: Temp) -> None:
        limits, profile = self._c.limits, self._basal.profile
        reasons = faults_of(temp)
        if self._state() is not PumpState.RUNNING:
            state = self._state().value
            reasons.append(Reason("state", f"the pump is {state}", "state", state, "running"))
        if limits is None or profile is None:
            reasons.append(Reason("not_set_up", "no limits are set, or no basal profile is in use"))
        elif not reasons:
            notices = self._notices(temp, profile, limits.max_basal_uu_per_h)
            self._begin(asked, temp, notices)
            return
        self._refuse(asked, reasons)

    def _begin(self, asked: Asked, temp: Temp, notices: list[str]) -> None:
        number = self._c.book.next_temp
        more = {"by": f"uid {asked.uid}", "notices": notices}
        entries = self._temp.ended("another one took its place")
        entries.append(self._temp.entry("begun", number, temp, temp.duration_s * NS_PER_S, **more))

        def durable(_rows: Sequence[Row]) -> None:
            self._basal.anchor_anew()
            shown = self._temp.shown(self._basal.scheduled_uu_per_h())
            self._done(asked, {"temp": shown, "notices": notices})

        self._c.write(entries, durable)

    def _notices(self, temp: Temp, profile: Profile, most_uu_per_h: int) -> list[str]:
        """Say where the basal limit will hold it down, once for each segment in its time."""
        if temp.kind is TempKind.RATE:
            rates = [("", 0)]
        else:
            ends = [one.start_min_of_day for one in profile.segments[1:]] + [MIN_PER_DAY]
            now = self._basal.ns_of_day(self._c.now_ns) // NS_PER_MIN
            over = now + -(-temp.duration_s // 60)
            rates = [
                (
                    f" of the {format_rate(one.rate_uu_per_h)} "
                    f"from {_hours(one.start_min_of_day)} on",
                    one.rate_uu_per_h,
                )
                for one, end in zip(profile.segments, ends, strict=True)
                if (one.start_min_of_day < over and end > now)
                or one.start_min_of_day < over - MIN_PER_DAY
            ]
        return [
            f"{temp.words}{where} is over the basal limit: "
            f"{format_rate(most_uu_per_h)} is given instead"
            for where, rate in rates
            if temp.wanted_uu_per_h(rate) > most_uu_per_h
        ]

    def _cancel(self, asked: Asked) -> None:
        entries = self._temp.ended(f"cancelled by uid {asked.uid}")
        if not entries:
            self._refuse(asked, [Reason("no_temp", "no temporary basal runs")])
            return

        def durable(_rows: Sequence[Row]) -> None:
            self._basal.anchor_anew()
            self._done(asked, {"cancelled": True})

        self._c.write(entries, durable)

    # ------------------------------------------------------------------ presets

    @property
    def _presets(self) -> dict[str, dict[str, Any]]:
        return dict(self._c.book.settings.get("temp.presets", {}))

    def _unknown(self, name: str) -> Reason:
        known = ", ".join(sorted(self._presets)) or "none"
        return Reason("unknown_preset", f"no preset {name!r}; known: {known}", "name", name)

    def _show_presets(self, asked: Asked) -> None:
        self._done(asked, {"presets": self._presets})

    def _save_preset(self, asked: Asked) -> None:
        name, temp, presets = asked.params["name"], _temp_of(asked.params), self._presets
        reasons = faults_of(temp)
        if name not in presets and len(presets) >= MAX_PRESETS:
            text = f"there are {MAX_PRESETS} presets already"
            reasons.append(Reason("too_many", text, "name", name))
        if reasons:
            self._refuse(asked, reasons)
            return
        fields = asdict(temp) | {"kind": temp.kind.value}
        self._set(asked, "temp.presets", presets | {name: fields})

    def _delete_preset(self, asked: Asked) -> None:
        name, presets = asked.params["name"], self._presets
        if name not in presets:
            self._refuse(asked, [self._unknown(name)])
            return
        del presets[name]
        self._set(asked, "temp.presets", presets)


def _temp_of(raw: Mapping[str, Any]) -> Temp:
    return Temp(TempKind(raw["kind"]), raw["value"], raw["duration_s"])


def _hours(min_of_day: int) -> str:
    return f"{min_of_day // 60:02d}:{min_of_day % 60:02d}"
