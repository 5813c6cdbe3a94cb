"""What screens say and ask, without a screen: presenters against a pump that a test answers for."""

from collections.abc import Callable
from typing import Any

import pytest

from appliance.client import Dose, NoPump, OutcomeUnknown, Places, Reason, Refused, Review, Snapshot
from appliance.simulate.bench import VirtualBench
from ui.presenters.bar import bar_view
from ui.presenters.delivering import DeliveringPresenter, Phase
from ui.presenters.desk import Stop
from ui.presenters.home import HomePresenter
from ui.presenters.no_contact import NoContactPresenter
from ui.presenters.review import ReviewPresenter, Wish
from ui.presenters.router import Router
from ui.presenters.stopped import StoppedPresenter
from ui.state import State


class Client:
    """Notes what it is asked; a test says what comes of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., str]:
        def call(*args: Any, **words: Any) -> str:
            self.calls.append((name, args, words))
            return name

        return call


class Desk:
    """A desk whose pump answers when a test wants it to."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.pump = self
        self.last_stop: Stop | None = None
        self.last_bolus_id = ""
        self.client = Client()
        self.shown: list[tuple[str, dict[str, object]]] = []
        self.waiting: list[tuple[Callable[[Any], None], Callable[[Any], None]]] = []
        self.time_s = 100.0

    def ask(self, act: Any, done: Any, failed: Any) -> None:
        act(self.client)
        self.waiting.append((done, failed))

    def ask_keeper(self, act: Any, done: Any, failed: Any) -> None:
        self.waiting.append((done, failed))

    def stop(self, what: str, done: Any, failed: Any) -> None:
        self.client.calls.append(("stop", (what,), {}))
        self.waiting.append((done, failed))

    def answer(self, answer: Any) -> None:
        done, failed = self.waiting.pop()
        (failed if isinstance(answer, Exception) else done)(answer)

    def go(self, screen: str, **words: object) -> None:
        self.shown.append((screen, words))

    def has(self, screen: str) -> bool:
        return True

    def redraw(self) -> None:
        pass

    def now_s(self) -> float:
        return self.time_s

    def asked(self, name: str) -> list[tuple[Any, ...]]:
        return [args for called, args, _words in self.client.calls if called == name]


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    bench = VirtualBench()
    bench.run(5)
    return Snapshot.of(dict(bench.snapshot()))


@pytest.fixture
def desk(snapshot: Snapshot) -> Desk:
    return Desk(State(snapshot=snapshot, lost="", heard_s=100.0))


ONCE = "t"
WISH = Wish("00000000-0000-4000-8000-000000000001", 2_500_000, token=ONCE, duration_s=100)


def dose(**fields: Any) -> Dose:
    body = {
        "id": WISH.request_id,
        "kind": "bolus",
        "programmed_uu": 2_500_000,
        "programmed_steps": 1_358,
        "issued_steps": 1_358,
        "confirmed_steps": 1_358,
        "maximum_steps": 1_358,
        "certainty": "exact",
        "outcome": "done",
        "why": None,
    }
    return Dose.of({**body, **fields})


def test_f51_a_lost_answer_is_called_unknown_and_looked_up_by_its_id_and_never_sent_again(
    desk: Desk,
) -> None:
    presenter = DeliveringPresenter(desk)
    presenter.entered(wish=WISH)
    desk.answer(OutcomeUnknown("no answer", WISH.request_id))
    assert presenter.phase is Phase.UNKNOWN
    assert presenter.view().headline == "Not known yet"
    assert desk.asked("lookup") == [(WISH.request_id,)]
    desk.answer(dose())
    assert presenter.view().headline == "Delivered"
    assert len(desk.asked("deliver")) == 1


def test_an_unknown_dose_that_the_pump_does_not_have_was_not_delivered(desk: Desk) -> None:
    presenter = DeliveringPresenter(desk)
    presenter.entered(wish=WISH)
    desk.answer(OutcomeUnknown("no answer", WISH.request_id))
    presenter.view()
    desk.answer(None)
    assert presenter.view().headline == "Refused, nothing delivered"


def test_sr_40_an_uncertain_dose_is_shown_with_both_bounds(desk: Desk) -> None:
    presenter = DeliveringPresenter(desk)
    presenter.entered(wish=WISH)
    fields = {"confirmed_steps": 733, "maximum_steps": 760, "certainty": "uncertain"}
    desk.answer(dose(**fields, outcome="uncertain"))
    view = presenter.view()
    assert (view.headline, view.amount) == ("Uncertain", "1.34–1.39")
    assert "733–760 steps" in [row.value for row in view.rows]


def test_stop_bolus_ends_the_bolus_alone(desk: Desk) -> None:
    presenter = DeliveringPresenter(desk)
    presenter.entered(wish=WISH)
    presenter.press("stop_bolus")
    assert desk.asked("stop") == [("bolus",)]


def test_a_review_without_a_token_cannot_be_held_and_says_every_reason(desk: Desk) -> None:
    presenter = ReviewPresenter(desk)
    presenter.entered(amount_uu=2_500_000)
    reasons = [
        Reason(code="busy", text="another bolus is being delivered"),
        Reason(code="no_cartridge", text="no cartridge is loaded: pumpctl cartridge load AMOUNT"),
    ]
    review = Review(
        request_id=presenter.wish.request_id,
        amount_uu=2_500_000,
        programmed_steps=1_358,
        duration_s=100,
        reasons=reasons,
        token=None,
    )
    desk.answer(review)
    view = presenter.view()
    assert not view.ready
    assert view.against == (
        "Another bolus is being delivered.",
        "No cartridge is loaded: Cartridge, on the first screen.",
    )
    presenter.held()
    assert desk.shown == []


def test_a_review_that_was_left_has_no_use_for_its_late_answer(desk: Desk) -> None:
    presenter = ReviewPresenter(desk)
    presenter.entered(amount_uu=1_000_000)
    first = presenter.wish.request_id
    presenter.entered(amount_uu=2_000_000)
    review = Review(
        request_id=first,
        amount_uu=1_000_000,
        programmed_steps=543,
        duration_s=40,
        reasons=[],
        token=ONCE,
    )
    done, _failed = desk.waiting[0]
    done(review)
    assert not presenter.view().ready


def test_without_contact_no_number_is_shown(desk: Desk, snapshot: Snapshot) -> None:
    lost = State(snapshot=snapshot, lost="there is no socket", heard_s=100.0)
    bar = bar_view(lost, "Home")
    assert (bar.time, [item.value for item in bar.items]) == ("--:--", ["No contact"])
    desk.state = lost
    assert HomePresenter(desk).view().basal.value == ""
    assert NoContactPresenter(desk).view().reasons == ("There is no socket.",)


def test_a_pump_that_cannot_start_says_what_it_wrote_before_it_gave_up(desk: Desk) -> None:
    desk.state = State(lost="there is no socket", not_up=("row 7 is not what was written",))
    view = NoContactPresenter(desk).view()
    assert view.headline == "The pump cannot start"
    assert view.reasons == ("row 7 is not what was written",)


def test_a_stop_that_was_not_answered_says_so_and_offers_no_resume(desk: Desk) -> None:
    desk.last_stop = Stop(answered=True, failed="no answer to stop")
    view = StoppedPresenter(desk).view()
    assert view.headline == "The pump did not answer to STOP"
    assert [item.key for item in view.foot] == ["home"]


def test_a_refused_resume_gives_its_reasons(desk: Desk) -> None:
    snapshot = Snapshot.of({**desk.state.snapshot.raw, "state": "suspended"})
    desk.state = State(snapshot=snapshot, lost="")
    desk.last_stop = Stop(answered=True)
    presenter = StoppedPresenter(desk)
    presenter.press("resume")
    desk.answer(Refused([Reason(code="line", text="the line is blocked")]))
    assert presenter.view().note == "The line is blocked."


def test_what_was_half_entered_is_gone_after_an_interruption_and_a_dose_is_found_again(
    snapshot: Snapshot,
) -> None:
    shown: list[str] = []
    router = Router(lambda screen, _words: shown.append(screen))
    router.begin()
    here = State(snapshot=snapshot, lost="")
    gone = State(snapshot=snapshot, lost="connection reset by peer")
    router.hear(here)
    for wanted, after in (("bolus", "home"), ("review", "home"), ("delivering", "delivering")):
        router.go(wanted)
        router.hear(gone)
        router.hear(here)
        assert shown[-3:] == [wanted, "no_contact", after]


def test_nobody_there_is_no_reason_of_the_pump(tmp_path: Any) -> None:
    error = NoPump(Places(tmp_path, tmp_path).pump_socket, "there is no socket")
    assert error.why == "there is no socket"
