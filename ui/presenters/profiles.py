"""Profiles: which there are, which is followed, and what can be done with one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.client import PumpClient, PumpError
from appliance.client.messages import Basal, SegmentShown
from appliance.client.words import MIN_PER_DAY
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.change import change, unlocked, why_not
from ui.presenters.choose import Asking
from ui.presenters.confirm import Done, Matter
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.draft import Draft, Piece
from ui.presenters.lists import Row as Listed
from ui.presenters.name import NameQuestion, Refuse
from ui.words import _

_MIN_PER_H = 60


@dataclass(frozen=True, slots=True)
class ProfilesView(View):
    """The profiles, and the curve and numbers of the one that is looked at."""

    rows: tuple[Listed, ...] = ()
    chosen: str = ""
    segments: tuple[tuple[int, int], ...] = ()
    minute: int = -1
    facts: tuple[Row, ...] = ()
    message: str = ""


def total_uu(segments: Sequence[SegmentShown | Piece]) -> int:
    """Return what a day asks for, rounded down to a microunit; 0 before they are read."""
    if not segments:
        return 0
    ends = [one.start_min_of_day for one in segments[1:]] + [MIN_PER_DAY]
    return (
        sum(
            (end - one.start_min_of_day) * one.rate_uu_per_h
            for one, end in zip(segments, ends, strict=True)
        )
        // _MIN_PER_H
    )


def rate_at(segments: Sequence[SegmentShown | Piece], minute: int) -> int | None:
    """Return the rate at a minute of the day; None where that is not known."""
    begun = [one for one in segments if one.start_min_of_day <= minute]
    return begun[-1].rate_uu_per_h if begun else None


def minute_now(desk: Desk) -> int:
    """Return the minute of the pump's local day; -1 where it is not known."""
    snapshot = desk.state.live
    if snapshot is None or snapshot.clock is None:
        return -1
    text = numbers.clock(snapshot.clock.utc_ns, snapshot.clock.offset_s)
    return int(text[:2]) * _MIN_PER_H + int(text[3:]) if text[:1].isdigit() else -1


class ProfilesPresenter(Presenter):
    """Looks at the profiles of the pump; each change is the pump's, behind the PIN."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._basal: Basal | None = None
        self._chosen, self._message = "", ""

    def entered(self, **words: object) -> None:
        """Ask for the profiles; ``chosen`` is the one to look at."""
        chosen = words.get("chosen")
        self._chosen = chosen if isinstance(chosen, str) else ""
        self._message = ""
        self.desk.pump.ask(lambda pump: pump.basal(), self._came, self._failed)

    def _came(self, basal: Basal) -> None:
        self._basal = basal
        if self._chosen not in basal.profiles:
            self._chosen = basal.active or next(iter(sorted(basal.profiles)), "")

    def _failed(self, error: PumpError) -> None:
        self._message = why_not(error)

    @property
    def _segments(self) -> Sequence[SegmentShown]:
        return self._basal.profiles.get(self._chosen, []) if self._basal is not None else []

    @property
    def _active(self) -> str:
        return (self._basal.active or "") if self._basal is not None else ""

    def view(self) -> ProfilesView:
        """Return the profiles as the pump told them."""
        profiles = self._basal.profiles if self._basal is not None else {}
        there = self._chosen in profiles
        return ProfilesView(
            title=_("Profiles"),
            foot=(
                FootItem("basal", _("Basal")),
                FootItem("use", _("Use"), enabled=there and self._chosen != self._active),
                FootItem("edit", _("Edit"), "primary", enabled=there),
                FootItem("more", _("More"), enabled=self._basal is not None),
            ),
            rows=tuple(self._row(name, segments) for name, segments in sorted(profiles.items())),
            chosen=self._chosen,
            segments=tuple((one.start_min_of_day, one.rate_uu_per_h) for one in self._segments),
            minute=minute_now(self.desk) if self._chosen == self._active else -1,
            facts=self._facts(),
            message=self._message,
        )

    def _row(self, name: str, segments: Sequence[SegmentShown]) -> Listed:
        text = _("{name}, in use").format(name=name) if name == self._active else name
        tone = "in_range" if name == self._active else "text"
        return Listed(name, text, numbers.units(total_uu(segments)), tone=tone)

    def _facts(self) -> tuple[Row, ...]:
        segments = self._segments
        if not segments:
            return ()
        rates = [one.rate_uu_per_h for one in segments]
        return (
            Row(_("A day"), numbers.units(total_uu(segments))),
            Row(_("Segments"), numbers.count(len(segments))),
            Row(_("Lowest, highest"), f"{numbers.rate(min(rates))}–{numbers.rate(max(rates))} U/h"),
        )

    def pick(self, key: str) -> None:
        """Look at another profile."""
        self._chosen = key
        self.desk.redraw()

    def press(self, key: str) -> None:
        """Use it, edit it, do something else with it, or leave."""
        match key:
            case "use":
                self._use()
            case "edit":
                name, segments = self._chosen, self._segments
                draft = Draft.of(name, segments, in_use=name == self._active)
                self._open(draft)
            case "more":
                self._more()
            case _:
                self.desk.go(key)

    def _here(self) -> None:
        self.desk.go("profiles", chosen=self._chosen)

    def _open(self, draft: Draft) -> None:
        unlocked(self.desk, lambda: self.desk.go("profile", draft=draft), self._here)

    def _use(self) -> None:
        name, minute = self._chosen, minute_now(self.desk)
        now = rate_at(self._segments, minute)
        before = self._basal.profiles.get(self._active, []) if self._basal is not None else []

        def act(done: Done, refuse: Refuse) -> None:
            def use(pump: PumpClient) -> None:
                pump.use_basal(name)

            change(self.desk, use, lambda: done(()), refuse, self._here)

        self._ask_to_hold(
            Matter(
                title=_("Profiles"),
                lead=_("Follow this profile from now on"),
                big=numbers.rate(now),
                unit=_("U/h now"),
                detail=name,
                rows=(
                    Row(_("Until now"), self._active or _("none")),
                    Row(_("Its rate now"), f"{numbers.rate(rate_at(before, minute))} U/h"),
                    Row(_("A day, from now on"), numbers.units(total_uu(self._segments))),
                    Row(_("A day, until now"), numbers.units(total_uu(before)) if before else "–"),
                ),
                hold=_("Hold to use it"),
                act=act,
                done=_("It is followed from now on"),
                back=self._here,
                after=self._here,
            )
        )

    def _ask_to_hold(self, matter: Matter) -> None:
        """Ask for the PIN first, where one is set: it is not asked for after the hold."""
        unlocked(self.desk, lambda: self.desk.go("confirm", matter=matter), self._here)

    # --- more ---------------------------------------------------------------------------------

    def _more(self) -> None:
        there = bool(self._segments)
        rows = [Listed("new", _("New profile"))]
        if there:
            rows.append(Listed("copy", _("Copy {name}").format(name=self._chosen)))
            rows.append(Listed("rename", _("Rename {name}").format(name=self._chosen)))
        if there and self._chosen != self._active:
            rows.append(Listed("delete", _("Delete {name}").format(name=self._chosen)))
        asking = Asking(_("Profiles"), tuple(rows), self._take, self._here)
        self.desk.go("choose", asking=asking)

    def _take(self, what: str, _refuse: Refuse) -> None:
        name = self._chosen
        if what == "delete":
            self._delete(name)
        elif what == "new":
            self._name(_("New profile"), "", self._begin)
        elif what == "copy":
            self._name(_("Copy {name}").format(name=name), "", self._copy)
        else:
            self._name(_("Rename {name}").format(name=name), name, self._rename)

    def _name(self, title: str, text: str, take: Callable[[str, Refuse], None]) -> None:
        question = NameQuestion(title, _("Name"), take, self._here, text)
        unlocked(self.desk, lambda: self.desk.go("name", question=question), self._here)

    def _begin(self, name: str, refuse: Refuse) -> None:
        if self._basal is not None and name in self._basal.profiles:
            refuse(_("There is a profile of this name."))
            return
        self._open(Draft(name, (Piece(0, 0),), new=True))

    def _copy(self, new_name: str, refuse: Refuse) -> None:
        name = self._chosen

        def copy(pump: PumpClient) -> None:
            pump.copy_basal(name, new_name)

        self._changed(copy, new_name, refuse)

    def _rename(self, new_name: str, refuse: Refuse) -> None:
        name = self._chosen

        def rename(pump: PumpClient) -> None:
            pump.rename_basal(name, new_name)

        self._changed(rename, new_name, refuse)

    def _changed(self, act: Callable[[PumpClient], None], shown: str, refuse: Refuse) -> None:
        change(self.desk, act, lambda: self.desk.go("profiles", chosen=shown), refuse, self._here)

    def _delete(self, name: str) -> None:
        def act(done: Done, refuse: Refuse) -> None:
            def delete(pump: PumpClient) -> None:
                pump.delete_basal(name)

            change(self.desk, delete, lambda: done(()), refuse, self._here)

        self._ask_to_hold(
            Matter(
                title=_("Profiles"),
                lead=_("Delete this profile"),
                big=name,
                unit="",
                detail=_("What it delivered stays in history."),
                rows=self._facts(),
                hold=_("Hold to delete it"),
                act=act,
                done=_("It is deleted"),
                back=self._here,
                after=lambda: self.desk.go("profiles"),
            )
        )
