"""Basal: what runs now and what comes next, suspend and resume, and the ways to change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.client import PumpClient, PumpError, Snapshot
from appliance.client.calculator import segment_of
from appliance.client.messages import Basal
from appliance.client.words import minute_words
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.change import why_not
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.resume import Resume
from ui.words import _


@dataclass(frozen=True, slots=True)
class BasalView(View):
    """The rate now, what goes with it, the day's curve, and the button for a temporary basal."""

    headline: str = ""
    tone: str = "text"
    rate: str = ""
    rows: tuple[Row, ...] = ()
    segments: tuple[tuple[int, int], ...] = ()
    minute: int = -1
    message: str = ""
    temp: str = ""


def next_change(basal: Basal, minute: int) -> tuple[int, int] | None:
    """Return minute of the day and rate of the next segment; None where there is but one."""
    segments = basal.profiles.get(basal.active or "", [])
    if len(segments) < 2:
        return None
    later = [one for one in segments if one.start_min_of_day > minute]
    found = min(later or segments, key=lambda one: one.start_min_of_day)
    return found.start_min_of_day, found.rate_uu_per_h


class BasalPresenter(Presenter):
    """Suspending takes one tap and needs no confirmation; resuming runs the self-test."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._basal: Basal | None = None
        self._busy = ""
        self._against: tuple[str, ...] = ()
        self._resume = Resume(desk)

    def entered(self, **_: object) -> None:
        """Ask for the profiles."""
        self._busy, self._against = "", ()
        self._resume.forget()
        self.desk.pump.ask(lambda pump: pump.basal(), self._shown, self._failed)

    def _shown(self, basal: Basal) -> None:
        self._basal = basal

    def view(self) -> BasalView:
        """Return basal as it is now."""
        snapshot = self.desk.state.live
        if snapshot is None:
            return BasalView()
        running = snapshot.state == "running"
        resume = self._resume
        if self._busy or resume.busy:
            headline, tone = self._busy or _("The self-test runs …"), "insulin"
        elif running:
            headline, tone = _("Delivering"), "in_range"
        else:
            headline, tone = _("Not delivering"), "high"
        rate_uu_per_h = snapshot.basal_uu_per_h if running else 0
        return BasalView(
            title=_("Basal"),
            foot=(
                FootItem("home", _("Back")),
                *self._back_from_glucose(snapshot),
                *(self._suspend() if running else resume.foot(_("Resume"), 1)),
            ),
            headline=headline,
            tone=tone,
            rate=numbers.rate(rate_uu_per_h),
            rows=self._rows(),
            segments=self._segments(),
            minute=self._minute(),
            message="\n".join(self._against or resume.against) or resume.note,
            temp=_("Temporary basal") if self.desk.has("temp") else "",
        )

    def _suspend(self) -> tuple[FootItem, ...]:
        return (FootItem("suspend", _("Suspend"), enabled=not self._busy),)

    def _back_from_glucose(self, snapshot: Snapshot) -> tuple[FootItem, ...]:
        """Return the button that ends a suspension by glucose, where there is one."""
        protection = snapshot.glucose.protection if snapshot.glucose is not None else None
        if protection is None or not protection.suspended:
            return ()
        return (FootItem("basal_back", _("Have basal back"), enabled=not self._busy, share=1.4),)

    def _minute(self) -> int:
        snapshot = self.desk.state.live
        if snapshot is None or snapshot.clock is None:
            return -1
        text = numbers.clock(snapshot.clock.utc_ns, snapshot.clock.offset_s)
        return int(text[:2]) * 60 + int(text[3:]) if text[0].isdigit() else -1

    def _segments(self) -> tuple[tuple[int, int], ...]:
        basal = self._basal
        if basal is None or basal.active is None:
            return ()
        return tuple(
            (one.start_min_of_day, one.rate_uu_per_h) for one in basal.profiles[basal.active]
        )

    def _rows(self) -> tuple[Row, ...]:
        snapshot, basal = self.desk.state.live, self._basal
        if snapshot is None or basal is None:
            return ()
        rows = [Row(_("Profile"), basal.active or _("none"))]
        segment, minute = segment_of(snapshot, basal), self._minute()
        if segment is not None:
            scheduled = numbers.rate(segment.rate_uu_per_h)
            rows.append(Row(_("Scheduled now"), f"{scheduled} U/h"))
        change = next_change(basal, minute)
        if change is not None:
            at, rate_uu_per_h = change
            rows.append(
                Row(
                    _("From {time}").format(time=minute_words(at)),
                    f"{numbers.rate(rate_uu_per_h)} U/h",
                )
            )
        temp = snapshot.temp
        if temp is not None:
            shown = (
                f"{temp.value}%" if temp.kind == "percent" else f"{numbers.rate(temp.value)} U/h"
            )
            left = _("{value}, {left} left").format(value=shown, left=numbers.age(temp.left_s))
            rows.append(Row(_("Temporary"), left, tone="insulin"))
        return tuple(rows)

    def press(self, key: str) -> None:
        """Suspend, resume, have basal back that glucose holds, or go elsewhere."""
        if key == "suspend":
            self._do(_("Suspending …"), lambda pump: pump.suspend())
        elif key == "basal_back":
            self._do(_("Basal comes back …"), lambda pump: pump.resume_glucose())
        elif not self._resume.press(key):
            self.desk.go(key)
        else:
            self._against = ()

    def _do(self, busy: str, act: Callable[[PumpClient], object]) -> None:
        self._busy, self._against = busy, ()
        self.desk.pump.ask(act, self._done, self._failed)

    def _done(self, _answer: object) -> None:
        self._busy = ""

    def _failed(self, error: PumpError) -> None:
        self._busy = ""
        self._against = tuple(why_not(error).split("\n"))
