"""The graph of the last hours, or of earlier ones."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.client import KeeperClient, PumpError
from appliance.client.messages import Graph
from appliance.client.words import NS_PER_S, time_words
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.history import not_available
from ui.presenters.lists import Choice
from ui.presenters.plot import HOURS, NO_PLOT, Plot, plot_of
from ui.words import _

AGAIN_S = 10.0
"""How often a graph that ends now is asked for anew."""


@dataclass(frozen=True, slots=True)
class GraphView(View):
    """The choice of hours, what is drawn, and from when to when; ``missing`` says why not."""

    choices: tuple[Choice, ...] = ()
    chosen: str = ""
    plot: Plot = NO_PLOT
    span: str = ""
    missing: str = ""
    no_glucose: str = ""


class GraphPresenter(Presenter):
    """Asks the keeper for one graph at a time."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._hours = 6
        self._until_ns: int | None = None
        self._graph: Graph | None = None
        self._plot, self._span = NO_PLOT, ""
        self._missing = ""
        self._asked_s = float("-inf")
        self._turn = 0

    def entered(self, **_words: object) -> None:
        """Begin with the last hours."""
        self._until_ns, self._graph = None, None
        self._plot, self._span, self._missing = NO_PLOT, "", ""
        self._ask()

    def view(self) -> GraphView:
        """Return the graph as it was last told."""
        if self._until_ns is None and self.desk.now_s() - self._asked_s >= AGAIN_S:
            self._ask()
        now = self._until_ns is None
        known = self._graph is not None
        return GraphView(
            title=_("Graph"),
            foot=(
                FootItem("home", _("Home")),
                FootItem("history", _("History")),
                FootItem("days", _("Days")),
            ),
            choices=(
                Choice("earlier", _("Earlier"), known),
                *(Choice(str(hours), f"{hours} h") for hours in HOURS),
                Choice("later", _("Later"), not now),
            ),
            chosen=str(self._hours),
            plot=self._plot,
            span=self._span,
            missing=self._missing,
            no_glucose=_("No glucose readings") if known and not self._readings() else "",
        )

    def press(self, key: str) -> None:
        """Leave."""
        self.desk.go(key)

    def choose(self, key: str) -> None:
        """Show more or fewer hours, or earlier or later ones."""
        span_ns = self._hours * 3_600 * NS_PER_S
        if key.isdigit():
            self._hours = int(key)
        elif key == "earlier" and self._graph is not None:
            self._until_ns = self._graph.until_utc_ns - span_ns
        elif key == "later" and self._until_ns is not None:
            self._until_ns += span_ns
            clock = self.desk.state.live.clock if self.desk.state.live is not None else None
            if clock is None or self._until_ns >= clock.utc_ns:
                self._until_ns = None
        self._ask()
        self.desk.redraw()

    def _readings(self) -> bool:
        return self._graph is not None and bool(self._graph.glucose or self._graph.fingers)

    def _ask(self) -> None:
        self._asked_s = self.desk.now_s()
        self._turn += 1
        turn, hours, until_ns = self._turn, self._hours, self._until_ns

        def ask(keeper: KeeperClient) -> Graph:
            return keeper.graph(hours, until_ns)

        def came(graph: Graph) -> None:
            if turn == self._turn:
                self._take(graph)

        def failed(error: PumpError) -> None:
            if turn == self._turn:
                self._graph, self._plot, self._span = None, NO_PLOT, ""
                self._missing = not_available(error)

        self.desk.pump.ask_keeper(ask, came, failed)

    def _take(self, graph: Graph) -> None:
        snapshot = self.desk.state.live
        clock = snapshot.clock if snapshot is not None else None
        offset_s = clock.offset_s if clock is not None else 0
        self._graph, self._missing = graph, ""
        self._plot = plot_of(graph, offset_s)
        begin = time_words(graph.from_utc_ns, offset_s)[:16]
        end = time_words(graph.until_utc_ns, offset_s)[:16]
        same_day = begin[:10] == end[:10]
        self._span = f"{begin} – {end[11:] if same_day else end}"
