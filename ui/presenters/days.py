"""What each day came to: total, basal and bolus, time in range; and the mean of two weeks."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.client import KeeperClient, PumpError
from appliance.client.messages import DaySums, Summary, Sums
from ui.presenters import numbers
from ui.presenters.amount import Row as Fact
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.history import NO_DETAIL, Detail, not_available
from ui.presenters.lists import Row
from ui.words import _, ngettext

DAYS = 90
MEAN_DAYS = 14
_MEAN = "mean"


@dataclass(frozen=True, slots=True)
class DaysView(View):
    """The days, newest first, and the one that is looked at."""

    rows: tuple[Row, ...] = ()
    chosen: str = ""
    detail: Detail = NO_DETAIL
    missing: str = ""
    note: str = ""


def share_words(part_uu: int, whole_uu: int) -> str:
    """Write a part of a whole with its share: "13.73 U  44%"."""
    percent = f"{round(100 * part_uu / whole_uu)}%" if whole_uu else numbers.DASH
    return f"{numbers.units(part_uu)}  {percent}"


def _lines(sums: Sums) -> tuple[Fact, ...]:
    lines = [
        Fact(_("Basal"), share_words(sums.basal_uu, sums.total_uu)),
        Fact(_("Bolus"), share_words(sums.bolus_uu, sums.total_uu)),
        Fact(_("Boluses"), numbers.count(sums.boluses)),
    ]
    if sums.uncertain:
        lines.append(Fact(_("Uncertain"), numbers.count(sums.uncertain), tone="high"))
    if sums.glucose is not None:
        lines.append(Fact(_("In range"), f"{sums.glucose.from_70_to_180:.0f}%"))
        lines.append(Fact(_("Mean glucose"), f"{sums.glucose.mean_mg_dl:.0f} mg/dL"))
    primed_uu = sums.prime_uu + sums.cannula_uu
    if primed_uu:
        lines.append(Fact(_("Primed"), numbers.units(primed_uu)))
    return tuple(lines)


class DaysPresenter(Presenter):
    """Asks the keeper once, when it is shown."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._days: list[DaySums] = []
        self._mean: Summary | None = None
        self._chosen, self._missing, self._asking = "", "", False

    def entered(self, **_words: object) -> None:
        """Ask for the days."""
        self._chosen, self._missing, self._asking = "", "", True

        def ask(keeper: KeeperClient) -> tuple[list[DaySums], Summary]:
            return keeper.days(DAYS), keeper.summary(MEAN_DAYS)

        self.desk.pump.ask_keeper(ask, self._came, self._failed)

    def _came(self, found: tuple[list[DaySums], Summary]) -> None:
        self._days, self._mean = found
        self._asking = False
        if not self._chosen and self._days:
            self._chosen = self._days[0].date

    def _failed(self, error: PumpError) -> None:
        self._asking, self._days, self._mean = False, [], None
        self._missing = not_available(error)

    def view(self) -> DaysView:
        """Return the days as they were last told."""
        note = ""
        if not self._days and not self._missing:
            note = _("Reading …") if self._asking else _("Nothing has been delivered yet.")
        return DaysView(
            title=_("Days"),
            foot=(
                FootItem("home", _("Home")),
                FootItem("history", _("History")),
                FootItem("graph", _("Graph")),
            ),
            rows=self._rows(),
            chosen=self._chosen,
            detail=self._detail(),
            missing=self._missing,
            note=note,
        )

    def _rows(self) -> tuple[Row, ...]:
        mean = self._mean
        rows = [Row(one.date, one.date, numbers.units(one.total_uu)) for one in self._days]
        if mean is not None and mean.mean_day_uu is not None:
            days = mean.days_with_delivery
            text = ngettext("Mean of {days} day", "Mean of {days} days", days).format(days=days)
            rows.insert(0, Row(_MEAN, text, numbers.units(mean.mean_day_uu), tone="insulin"))
        return tuple(rows)

    def _detail(self) -> Detail:
        mean = self._mean
        if self._chosen == _MEAN and mean is not None:
            caption = _("{begin} to {end}, a day").format(begin=mean.from_date, end=mean.until_date)
            value = numbers.units(mean.mean_day_uu)
            return Detail(caption=caption, value=value, tone="insulin", lines=_lines(mean))
        day = next((one for one in self._days if one.date == self._chosen), None)
        if day is None:
            return NO_DETAIL
        sentence = ""
        if day.length_s != 86_400:
            sentence = _("A day of {hours} h.").format(hours=round(day.length_s / 3_600))
        caption, value = _("{date}, confirmed").format(date=day.date), numbers.units(day.total_uu)
        return Detail(caption=caption, value=value, sentence=sentence, lines=_lines(day))

    def press(self, key: str) -> None:
        """Leave."""
        self.desk.go(key)

    def pick(self, key: str) -> None:
        """Look at a day."""
        self._chosen = key
        self.desk.redraw()
