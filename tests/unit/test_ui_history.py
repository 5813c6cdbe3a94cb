"""History on the screen: rows, filters, one dose down to its leases, the graph and the days."""

import pytest
from ui_desk import FakeDesk, snapshot_of

from appliance.client import HistoryRow, NoPump
from appliance.client.messages import BolusMark, DaySums, Graph, HistoryPage, HistoryParams, Summary
from ui.presenters.days import DaysPresenter
from ui.presenters.graph import GraphPresenter
from ui.presenters.history import MOST_ROWS, HistoryPresenter
from ui.presenters.history_words import HistoryRows, row_of
from ui.presenters.leases import LeasesPresenter
from ui.presenters.plot import plot_of
from ui.words import words

NS = 1_000_000_000
NOON_NS = 1_780_000_000 * NS // (86_400 * NS) * 86_400 * NS + 12 * 3_600 * NS


def bolus(seq: int, *, at_ns: int = NOON_NS, **changed: object) -> HistoryRow:
    """A bolus of 2 U that was given in full."""
    row = {
        "seq": seq,
        "id": f"dose-{seq}",
        "kind": "bolus",
        "programmed_uu": 2_000_000,
        "programmed_steps": 1_086,
        "issued_steps": 1_086,
        "confirmed_steps": 1_086,
        "maximum_steps": 1_086,
        "certainty": "exact",
        "outcome": "done",
        "utc_ns": at_ns,
        "offset_s": 0,
    }
    return HistoryRow.of(row | changed)


def event(seq: int, kind: str, text: str, *, at_ns: int = NOON_NS) -> HistoryRow:
    return HistoryRow.of(
        {"seq": seq, "id": str(seq), "kind": kind, "text": text, "utc_ns": at_ns, "offset_s": 0}
    )


class Ledger:
    """Rows, newest first, as the keeper pages them."""

    def __init__(self, rows: list[HistoryRow]) -> None:
        self.rows = rows
        self.asked: list[HistoryParams] = []

    def page(self, params: HistoryParams) -> HistoryPage:
        self.asked.append(params)
        before = params.before_seq or 2**62
        left = [one for one in self.rows if one.seq < before]
        found = left[: params.limit]
        more = found[-1].seq if len(left) > len(found) else None
        return HistoryPage.model_construct(rows=found, next_before_seq=more)


def opened(rows: list[HistoryRow]) -> tuple[HistoryPresenter, FakeDesk, Ledger]:
    desk, ledger = FakeDesk(snapshot_of()), Ledger(rows)
    desk.keeper.page.side_effect = ledger.page
    history = HistoryPresenter(desk)
    history.entered()
    return history, desk, ledger


@pytest.mark.parametrize(
    ("changed", "text", "value", "tone"),
    [
        ({}, "Bolus", "2.00 U", "text"),
        (
            {"confirmed_steps": 543, "maximum_steps": 543, "outcome": "stopped"},
            "Bolus, stopped",
            "1.00 of 2.00 U",
            "high",
        ),
        (
            {
                "confirmed_steps": 733,
                "maximum_steps": 760,
                "certainty": "uncertain",
                "outcome": "uncertain",
            },
            "Bolus, uncertain",
            "1.34–1.39 U",
            "high",
        ),
    ],
)
def test_a_row_says_what_went_out_and_an_uncertain_one_says_both_bounds(
    changed: dict[str, object], text: str, value: str, tone: str
) -> None:
    row = row_of(bolus(7, **changed))
    assert (row.lead, row.text, row.value, row.tone) == ("12:00", text, value, tone)


def test_a_running_bolus_reads_confirmed_of_programmed_from_the_newest_snapshot() -> None:
    running = snapshot_of(
        bolus={
            "id": "dose-7",
            "programmed_uu": 2_000_000,
            "programmed_steps": 1_086,
            "issued_steps": 600,
            "confirmed_steps": 543,
        }
    )
    row = bolus(7, confirmed_steps=0, issued_steps=None, certainty="open", outcome=None)
    assert row_of(row, (running.bolus,)).value == "1.00 of 2.00 U"
    assert row_of(row, ()).value == "0.00 of 2.00 U"


def test_a_new_day_has_a_heading_and_a_filter_takes_the_rest_away() -> None:
    day_ns = 86_400 * NS
    history, _desk, ledger = opened(
        [
            bolus(9),
            event(8, "alarm", "high A04 raised: blocked"),
            event(7, "setting", "basal profile Day kept (by uid 0): 00:00 0.800 U/h"),
            bolus(6, at_ns=NOON_NS - day_ns),
        ]
    )
    rows = history.view().rows
    assert [row.heading for row in rows] == [False, False, False, True, False]
    assert rows[1].text == "A04 (high) raised: blocked"
    history.choose("alarms")
    assert [row.text for row in history.view().rows] == ["A04 (high) raised: blocked"]
    history.choose("basal")
    assert [row.key for row in history.view().rows] == ["7"]
    history.choose("glucose")
    assert (len(history.view().rows), history.view().note) == (
        0,
        "Nothing of this kind has happened.",
    )
    assert [one.glucose for one in ledger.asked] == [False, False, False, True]


def test_a_sentence_of_the_keeper_is_said_part_by_part_in_the_language_in_use() -> None:
    rows = [
        event(4, "alarm", "high A04 raised: blocked"),
        event(3, "state", "stopped to running: resumed"),
        event(2, "setting", "limits changed (by uid 1000)"),
        event(1, "self_test", "self-test passed"),
    ]
    assert [row_of(one).text for one in rows] == [
        "A04 (high) raised: blocked",
        "Stopped to running: resumed",
        "Limits changed, by user 1000",
        "Self-test passed",
    ]
    words.use("de")
    try:
        assert [row_of(one).text for one in rows[1:]] == [
            "Gestoppt nach läuft: fortgesetzt",
            "Grenzen geändert, von Benutzer 1000",
            "Selbsttest bestanden",
        ]
    finally:
        words.use("en")


def test_pages_are_asked_for_as_the_end_comes_near_and_none_twice() -> None:
    history, _desk, ledger = opened([bolus(seq) for seq in range(350, 0, -1)])
    assert (len(history.view().rows), len(ledger.asked)) == (100, 1)
    for _turn in range(5):
        history.more()
    assert len(history.view().rows) == 350
    assert [one.before_seq for one in ledger.asked] == [None, 251, 151, 51]


def test_a_rare_kind_is_looked_for_page_after_page() -> None:
    rows = [bolus(seq) for seq in range(900, 1, -1)] + [event(1, "alarm", "low A60 raised: old")]
    history, _desk, ledger = opened(rows)
    history.choose("alarms")
    assert [row.key for row in history.view().rows] == ["1"]
    assert len(ledger.asked) == 1 + 9


def test_what_is_new_comes_before_what_is_known_and_what_was_looked_at_stays() -> None:
    history, desk, ledger = opened([bolus(seq) for seq in range(250, 0, -1)])
    history.more()
    history.pick("100")
    ledger.rows = [bolus(251), *ledger.rows]
    desk.at_s += 4
    desk.hears(snapshot_of(ledger={"seq": 999, "head": "", "trouble": ""}))
    rows = history.view().rows
    rows = history.view().rows
    assert [rows[0].key, rows[1].key, rows[-1].key] == ["251", "250", "51"]
    assert history.view().chosen == "100"
    assert len({row.key for row in rows}) == len(rows)


def test_a_gap_that_nobody_has_read_is_not_papered_over() -> None:
    history, desk, ledger = opened([bolus(seq) for seq in range(50, 0, -1)])
    ledger.rows = [bolus(seq) for seq in range(400, 0, -1)]
    desk.at_s += 4
    desk.hears(snapshot_of(ledger={"seq": 999, "head": "", "trouble": ""}))
    history.view()
    rows = history.view().rows
    assert [int(row.key) for row in rows] == list(range(400, 300, -1))
    history.more()
    assert [int(row.key) for row in history.view().rows] == list(range(400, 200, -1))


def test_a_list_of_years_costs_what_is_seen_of_it() -> None:
    made: list[int] = []

    class Noted(list[HistoryRow | str]):
        def __getitem__(self, index: int) -> HistoryRow | str:  # type: ignore[override]
            made.append(index)
            return super().__getitem__(index)

    rows = HistoryRows(Noted([bolus(seq) for seq in range(MOST_ROWS, 0, -1)]))
    assert len(rows) == MOST_ROWS
    assert [row.key for row in rows[5_000:5_003]] == ["5000", "4999", "4998"]
    assert made == [5_000, 5_001, 5_002]


def test_without_the_keeper_it_says_so_and_offers_no_number() -> None:
    desk = FakeDesk(snapshot_of())
    desk.keeper.page.side_effect = NoPump("/run/keeper.sock", "nobody answers")
    desk.keeper.graph.side_effect = NoPump("/run/keeper.sock", "nobody answers")
    desk.keeper.days.side_effect = NoPump("/run/keeper.sock", "nobody answers")
    for presenter in (HistoryPresenter(desk), GraphPresenter(desk), DaysPresenter(desk)):
        presenter.entered()
        assert presenter.view().missing == "History is not available"
    desk.keeper.page.side_effect = Ledger([bolus(1)]).page
    history = HistoryPresenter(desk)
    history.entered()
    assert (history.view().missing, len(history.view().rows)) == ("", 1)


def test_a_dose_is_told_down_to_its_leases_an_open_and_an_uncertain_one_as_such() -> None:
    def lease(number: int, **changed: object) -> dict[str, object]:
        steps = {"confirmed_steps": 27, "maximum_steps": 27, "certainty": "exact"}
        return {"number": number, "utc_ns": NOON_NS, "steps": 27, **steps, **changed}

    told = bolus(
        7,
        leases=[
            lease(1),
            lease(2, confirmed_steps=20, certainty="uncertain"),
            lease(3, confirmed_steps=0, certainty="open"),
        ],
        leases_complete=False,
    )
    desk = FakeDesk(snapshot_of())
    desk.keeper.history.return_value = iter([told])
    leases = LeasesPresenter(desk)
    leases.entered(row=bolus(7))
    view = leases.view()
    assert [row.value for row in view.rows] == ["27 confirmed", "20–27 moved", "open"]
    assert [row.tone for row in view.rows] == ["text", "high", "insulin"]
    assert view.headline == "Bolus: 2.00 U of 2.00 U"
    assert view.note == "More leases than fit here."
    desk.keeper.history.assert_called_once_with(request_id="dose-7", steps=True, rows=1)


def graph(**changed: object) -> Graph:
    hour_ns = 3_600 * NS
    found = {
        "from_utc_ns": NOON_NS - 3 * hour_ns,
        "until_utc_ns": NOON_NS,
        "glucose": [[NOON_NS - 2 * hour_ns, 190], [NOON_NS - hour_ns, 65]],
        "fingers": [[NOON_NS, 120]],
        "basal": [[NOON_NS - 4 * hour_ns, NOON_NS - hour_ns, 900_000], [NOON_NS, None, 800_000]],
        "boluses": [],
        "alarms": [],
        "suspended": [[NOON_NS - hour_ns, None]],
    }
    return Graph.of(found | changed)


def test_a_graph_lies_between_its_ends_and_its_colours_say_the_range() -> None:
    plot = plot_of(graph(), offset_s=1_800)
    assert [(dot.tone, round(dot.share, 3)) for dot in plot.glucose] == [
        ("high", 0.333),
        ("low", 0.667),
    ]
    assert [(block.begin, round(block.end, 3)) for block in plot.basal] == [(0.0, 0.667)]
    assert [words for _share, words in plot.ticks] == ["10:00", "11:00", "12:00"]
    assert [(round(begin, 3), end) for begin, end in plot.held] == [(0.667, 1.0)]
    assert (plot.hours, plot.most_uu_per_h) == (3, 900_000)


def test_a_bolus_on_a_graph_has_its_amount_and_an_uncertain_one_both_bounds() -> None:
    mark = {
        "id": "a",
        "kind": "bolus",
        "utc_ns": NOON_NS,
        "end_utc_ns": NOON_NS,
        "programmed_uu": 2_000_000,
        "confirmed_uu": 1_999_000,
        "maximum_uu": 1_999_000,
        "certainty": "exact",
        "outcome": "done",
    }
    unsure = mark | {"confirmed_uu": 1_350_000, "maximum_uu": 1_400_000}
    unsure |= {"certainty": "uncertain", "outcome": "uncertain"}
    boluses = [dict(BolusMark.of(one).raw) for one in (mark, unsure)]
    plot = plot_of(graph(boluses=boluses), offset_s=0)
    assert [(one.words, one.tone) for one in plot.boluses] == [
        ("2.00", "text"),
        ("1.35–1.40", "high"),
    ]


def test_earlier_hours_are_asked_for_by_their_end_and_later_leads_back_to_now() -> None:
    snapshot = snapshot_of()
    assert snapshot.clock is not None
    now_ns, hour_ns = snapshot.clock.utc_ns, 3_600 * NS
    desk = FakeDesk(snapshot)
    desk.keeper.graph.side_effect = lambda hours, until_ns: graph(
        from_utc_ns=(until_ns or now_ns) - hours * hour_ns, until_utc_ns=until_ns or now_ns
    )
    screen = GraphPresenter(desk)
    screen.entered()
    screen.choose("3")
    screen.choose("earlier")
    assert [one.enabled for one in screen.view().choices] == [True] * 6
    screen.choose("later")
    asked = [call.args for call in desk.keeper.graph.call_args_list]
    assert asked == [(6, None), (3, None), (3, now_ns - 3 * hour_ns), (3, None)]
    assert not screen.view().choices[-1].enabled


def test_a_day_has_its_shares_and_the_mean_stands_first() -> None:
    sums = {"basal_uu": 12_000_000, "bolus_uu": 18_000_000, "total_uu": 30_000_000}
    sums |= {"prime_uu": 5_000_000, "cannula_uu": 500_000, "correction_uu": 0}
    counts = {"boluses": 5, "uncertain": 1, "alarms": 0, "changes": 1, "glucose": None}
    day = DaySums.of({"date": "2026-11-25", "length_s": 90_000, **sums, **counts})
    mean = Summary.of(
        {
            "from_date": "2026-11-12",
            "until_date": "2026-11-25",
            "days": 14,
            "days_with_delivery": 1,
            "mean_day_uu": 30_000_000,
            "basal_share": 40.0,
            **sums,
            **counts,
        }
    )
    desk = FakeDesk(snapshot_of())
    desk.keeper.days.return_value, desk.keeper.summary.return_value = [day], mean
    days = DaysPresenter(desk)
    days.entered()
    view = days.view()
    assert [(row.text, row.value) for row in view.rows] == [
        ("Mean of 1 day", "30.00 U"),
        ("2026-11-25", "30.00 U"),
    ]
    assert view.detail.sentence == "A day of 25 h."
    facts = {row.caption: row.value for row in view.detail.lines}
    assert facts == {
        "Basal": "12.00 U  40%",
        "Bolus": "18.00 U  60%",
        "Boluses": "5",
        "Uncertain": "1",
        "Primed": "5.50 U",
    }
    days.pick("mean")
    assert days.view().detail.caption == "2026-11-12 to 2026-11-25, a day"
