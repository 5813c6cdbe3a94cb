"""Settings, PIN, first start, set change: what their screens make of fingers and of refusals."""

from collections.abc import Iterator

import pytest
from ui_desk import FakeDesk, snapshot_of

from appliance.client import Reason, Refused, Review
from appliance.client.messages import PIN_NEEDED, Basal, HistoryRow, PreferencesSetParams
from ui.presenters.alarm_log import Entry
from ui.presenters.cartridge import SITES, SetChangePresenter, age_words
from ui.presenters.change import change
from ui.presenters.delivering import DeliveringPresenter
from ui.presenters.entry import DOSE
from ui.presenters.first_start import FirstStartPresenter
from ui.presenters.number import NumberPresenter, Question
from ui.presenters.reasons import range_words
from ui.presenters.review import ReviewPresenter
from ui.presenters.typed import Number, Pin, TimeOfDay
from ui.words import words

NEW = {
    "limits": None,
    "reservoir_uu": None,
    "preferences": {},
    "signals": {"confirmed": False},
    "pin": {"set": False},
    "cartridge": {},
}
CHOSEN = {"language": "en", "zone": "UTC", "syringe_uu": 200_000_000, "fluid": "test"}
LIMITS = dict.fromkeys(
    ("max_bolus_uu", "hourly_uu", "daily_uu", "max_basal_uu_per_h", "min_interval_s"), 1
)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    words.use("en")
    yield
    words.use("en")


def desk_of(**changed: object) -> FakeDesk:
    desk = FakeDesk(snapshot_of(**(NEW | {"state": "stopped"} | changed)))
    desk.client.basal.return_value = Basal(active=None, profiles={}, rate_uu_per_h=0)
    desk.client.pin.return_value = {"set": False}
    return desk


# --- what is typed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "shown", "minute"),
    [
        ("", "––:––", None),
        ("1830", "18:30", 1_110),
        ("2359", "23:59", 1_439),
        ("24", "2–:––", None),  # there is no such hour: the key does nothing
        ("3", "––:––", None),
        ("0960", "09:0–", None),  # 60 minutes are none either
        ("0000", "00:00", 0),
        ("18301", "18:30", 1_110),
    ],
)
def test_a_time_of_day_is_typed_digit_by_digit_and_cannot_be_one_that_is_none(
    keys: str, shown: str, minute: int | None
) -> None:
    time = TimeOfDay()
    for key in keys:
        time.key(key)
    assert (time.shown, time.minute) == (shown, minute)


def test_a_pin_shows_no_digit_keeps_its_zeros_and_has_6_to_12() -> None:
    pin = Pin()
    for key in "00123":
        pin.key(key)
    assert not pin.complete
    pin.key("4")
    assert (pin.text, pin.complete) == ("001234", True)
    assert not any(digit in pin.shown for digit in "0123456789")
    for _ in range(9):
        pin.key("9")
    assert (len(pin.text), bool(pin.said)) == (12, True)


def test_the_first_digit_replaces_the_value_that_stood_there_and_erase_corrects_it() -> None:
    typed = Number(DOSE, "5.00")
    typed.key("7")
    assert typed.text == "7"
    corrected = Number(DOSE, "5.00")
    corrected.key("erase")
    corrected.key("5")
    assert corrected.text == "5.05"


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "allowed", "said"),
    [
        ("max_bolus_uu", "50000 to 25000000", "Allowed are 0.05 U to 25.00 U."),
        ("max_basal_uu_per_h", "0 to 35000000", "Allowed are 0.000 U/h to 35.000 U/h."),
        ("auto_off_h", "5 to 24, or 0 for off", "Allowed are 5 h to 24 h, or 0 for off."),
        ("hourly_uu", "up to daily_uu = 60000000", ""),
        ("", "1 to 2", ""),
    ],
)
def test_what_is_allowed_is_said_in_the_fields_own_unit(
    field: str, allowed: str, said: str
) -> None:
    reason = Reason(code="out_of_range", text="x", field=field, range=allowed)
    assert range_words(reason) == said


def test_sr_65_a_change_that_waits_for_the_pin_asks_for_it_and_is_then_asked_for_again() -> None:
    desk = desk_of()
    locked = Refused([Reason(code=PIN_NEEDED, text="settings are locked: the PIN is needed")])
    desk.client.set_preferences.side_effect = [locked, None]
    wanted, heard = PreferencesSetParams(language="de"), []
    change(
        desk,
        lambda pump: pump.set_preferences(wanted),
        lambda: heard.append("done"),
        heard.append,
        lambda: heard.append("back"),
    )
    screen, entered = desk.shown[-1]
    assert screen == "number"
    asked = NumberPresenter(desk)
    asked.entered(**entered)
    for key in "123456":
        asked.key(key)
    asked.press("take")
    desk.client.unlock.assert_called_once_with("123456")
    assert heard == ["done"]
    assert desk.client.set_preferences.call_count == 2


def test_a_number_that_the_pump_refuses_stays_with_the_reason_beside_it() -> None:
    taken: list[str] = []

    def take(text: str, refuse) -> None:
        taken.append(text)
        refuse("no")

    screen = NumberPresenter(desk_of())
    typed = Number(DOSE)
    screen.entered(question=Question("t", "c", typed, take, lambda: None))
    assert not screen.view().foot[-1].enabled
    screen.key("3")
    screen.press("take")
    view = screen.view()
    assert (taken, view.digits, view.message) == (["3"], "3", "no")
    assert view.foot[-1].enabled


# --- first start ------------------------------------------------------------------------------


def first_start(desk: FakeDesk) -> FirstStartPresenter:
    presenter = FirstStartPresenter(desk)
    presenter.entered()
    return presenter


def test_a_first_start_begins_with_the_language_and_goes_on_where_the_pump_knows_least() -> None:
    assert first_start(desk_of()).view().chosen == "language"
    half = desk_of(preferences={"language": "de", "zone": "UTC"})
    assert first_start(half).view().chosen == "pin"
    limits = desk_of(preferences=CHOSEN, limits=LIMITS)
    assert first_start(limits).view().chosen == "profile"  # without a PIN it goes on


def test_nothing_moves_before_the_last_step_of_a_first_start() -> None:
    desk = desk_of(preferences={"language": "de"})
    presenter = first_start(desk)
    presenter.pick("load")
    assert desk.shown == []
    assert presenter.view().note.startswith("First: Time and zone, Syringe, Limits")


def test_the_last_step_opens_when_every_other_one_is_done() -> None:
    desk = desk_of(preferences=CHOSEN, limits=LIMITS, signals={"confirmed": True})
    desk.client.basal.return_value = Basal(active="Day", profiles={}, rate_uu_per_h=0)
    presenter = first_start(desk)
    presenter.press("go")
    assert desk.shown == [("set_change", {"then": "first_start"})]


# --- cartridge and set ------------------------------------------------------------------------


def test_sr_32_the_button_that_moves_comes_only_with_the_pumps_own_question() -> None:
    desk = desk_of(cartridge={"last": "loaded"})
    desk.client.cartridge.return_value = {"sites": []}
    desk.client.prepare_cartridge.return_value = {"token": "t", "question": "Push fluid?"}
    presenter = SetChangePresenter(desk)
    presenter.entered()
    assert (presenter.at, presenter.view().hold) == ("prime", "")
    presenter.held()  # without a token nothing is asked of the pump
    presenter.press("declare")
    desk.client.prepare_cartridge.assert_called_once_with("prime", 5_000_000, declared=True)
    assert presenter.view().headline == "Push fluid?"
    assert presenter.view().hold
    desk.client.run_cartridge.assert_not_called()
    presenter.press("cancel")
    presenter.entered(at="prime")
    assert presenter.view().hold == ""


def test_ages_are_in_days_and_hours_and_an_unknown_one_is_a_dash() -> None:
    assert [age_words(age) for age in (None, 5, 53)] == ["–", "5 h", "2 d 5 h"]


def test_every_place_on_the_map_is_inside_it() -> None:
    assert all(0 < x < 1 and 0 < y < 1 for _name, x, y in SITES)


def test_the_alarm_log_takes_the_keepers_sentence_apart() -> None:
    row = HistoryRow(seq=1, id="", kind="alarm", text="high A18 raised: guard: no answer: 3 s")
    assert Entry.of(row) == Entry("high", "A18", "raised", "guard: no answer: 3 s")
    odd = HistoryRow(seq=2, id="", kind="alarm", text="something else")
    assert Entry.of(odd).text == "something else"


@pytest.mark.parametrize(
    ("chosen", "asked"), [(None, "normal"), ("slow", "slow"), ("fast", "fast")]
)
def test_the_chosen_bolus_speed_goes_with_the_dose_from_its_review_on(
    chosen: str | None, asked: str
) -> None:
    desk = desk_of(preferences={"speed": chosen})
    review = ReviewPresenter(desk)
    review.entered(amount_uu=1_000_000)
    assert desk.client.review.call_args.args[1:] == (1_000_000, asked)
    answer = {
        "request_id": review.wish.request_id,
        "amount_uu": 1_000_000,
        "programmed_steps": 543,
        "duration_s": 40,
        "reasons": [],
        "token": "t",
    }
    review.review = Review.of(answer)
    review.held()
    screen, entered = desk.shown[-1]
    assert (screen, entered["wish"].speed) == ("delivering", asked)
    DeliveringPresenter(desk).entered(**entered)
    assert desk.client.deliver.call_args.kwargs["speed"] == asked
