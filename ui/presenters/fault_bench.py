"""The fault bench: what really moved, and faults to begin and end. On a simulated bench alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from appliance.client import BenchClient, BenchStatus, NoPump, PumpError
from ui.presenters import numbers
from ui.presenters.change import why_not
from ui.presenters.choose import ListPresenter, ListView
from ui.presenters.desk import Desk, FootItem
from ui.presenters.lists import Row
from ui.words import _, words

Answer = TypeVar("Answer")

LOOK_S = 0.5
_NL_PER_UL = 1_000


class FaultBenchPresenter(ListPresenter):
    """The plant's own count beside the pump's, and the table of faults."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._truth: BenchStatus | None = None
        self._faults: tuple[dict[str, Any], ...] = ()
        self._said = ""
        self._chosen = ""
        self._looked_s = float("-inf")
        self._asking = False

    def entered(self, **_words: object) -> None:
        """Ask the bench for its table and its truth."""
        self._said, self._chosen, self._asking = "", "", False
        self._ask(lambda bench: tuple(bench.faults()), self._told_faults)
        self._look()

    def _ask(self, act: Callable[[BenchClient], Answer], done: Callable[[Answer], None]) -> None:
        self.desk.pump.ask_bench(act, done, self._failed)

    def _look(self) -> None:
        self._asking, self._looked_s = True, self.desk.now_s()
        self._ask(lambda bench: bench.status(), self._told)

    def _told_faults(self, faults: tuple[dict[str, Any], ...]) -> None:
        self._faults = faults

    def _told(self, truth: BenchStatus) -> None:
        self._truth, self._asking = truth, False

    def _failed(self, error: PumpError) -> None:
        self._asking = False
        self._said = why_not(error)
        if isinstance(error, NoPump):
            self._said = _("There is no simulated bench behind this pump.")

    def idle(self, idle_s: float) -> None:
        """Look at the truth twice a second."""
        super().idle(idle_s)
        if not self._asking and self.desk.now_s() - self._looked_s >= LOOK_S:
            self._look()

    def view(self) -> ListView:
        """Return truth and faults."""
        truth, snapshot = self._truth, self.desk.state.live
        rows: list[Row] = []
        active: dict[str, Any] = {}
        if truth is not None:
            confirmed = snapshot.raw.get("confirmed_steps") if snapshot is not None else None
            most = snapshot.raw.get("maximum_steps") if snapshot is not None else None
            volume_ul = float(truth.volume_nl) / _NL_PER_UL
            active = dict(truth.raw.get("faults") or {})
            rows = [
                Row("", _("Ground truth"), heading=True),
                Row(
                    "",
                    _("Steps that really moved"),
                    numbers.count(truth.steps_forward),
                    tone="insulin",
                ),
                Row(
                    "",
                    _("Pump: confirmed, at most"),
                    f"{numbers.count(confirmed)}–{numbers.count(most)}",
                ),
                Row("", _("Steps back"), numbers.count(truth.steps_reverse)),
                Row("", _("Came out"), f"{volume_ul:.2f} µL"),
                Row("", _("Motor"), _("enabled") if truth.enable else _("off")),
                Row("", _("By hand"), heading=True),
                Row("press", _("Press the stop button"), ""),
                Row(
                    "syringe",
                    _("Syringe"),
                    _("in the pump") if truth.raw.get("syringe") == "in" else _("taken out"),
                ),
            ]
        if self._faults:
            rows.append(Row("", _("Faults"), heading=True))
        for fault in self._faults:
            name = str(fault["name"])
            on = name in active
            rows.append(
                Row(
                    f"fault {name}",
                    name.replace("_", " "),
                    _("ON") if on else "",
                    str(fault["row"]),
                    tone="low",
                    ground="attention" if on else "",
                )
            )
        fault_on = self._chosen in active
        chosen = next((one for one in self._faults if one["name"] == self._chosen), None)
        told = words.sentence(str(chosen["text"])) if chosen is not None else ""
        return ListView(
            title=_("Fault bench"),
            foot=(
                FootItem("back", _("Back")),
                FootItem("clear", _("End all"), enabled=bool(active)),
                FootItem(
                    "turn", _("End") if fault_on else _("Begin"), "primary", enabled=bool(chosen)
                ),
            ),
            rows=tuple(rows),
            chosen=f"fault {self._chosen}",
            note=self._said or told,
            note_tone="high" if self._said else "text",
            lead_units=44,
        )

    def press(self, key: str) -> None:
        """Go back, or end every fault."""
        if key == "back":
            self.desk.go("menu")
        elif key == "clear":
            self._do("clear", {"name": "all"})
        elif key == "turn" and self._chosen and self._truth is not None:
            on = self._chosen in dict(self._truth.raw.get("faults") or {})
            self._do("clear" if on else "inject", {"name": self._chosen})

    def pick(self, key: str) -> None:
        """Choose a fault; press the button; take the syringe out or put it in."""
        kind, _space, name = key.partition(" ")
        truth = self._truth
        if kind == "press":
            self._do("press", {})
        elif kind == "syringe" and truth is not None:
            self._do("set", {"syringe": "out" if truth.raw.get("syringe") == "in" else "in"})
        elif kind == "fault":
            self._chosen = "" if name == self._chosen else name

    def _do(self, method: str, params: dict[str, Any]) -> None:
        self._said = ""
        self._ask(lambda bench: bench.call(method, params), lambda _answer: self._look())
