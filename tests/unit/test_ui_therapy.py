"""Temporary basal, extended, quick bolus and profiles: what the screens make of fingers."""

import pytest
from ui_desk import FakeDesk, snapshot_of

from appliance.client import Reason, Refused
from appliance.client.messages import Basal, Presets, Temp, TempStarted
from ui.presenters.confirm import ConfirmPresenter, Matter
from ui.presenters.draft import Draft, Piece
from ui.presenters.extend import ExtendPresenter
from ui.presenters.form import Duration
from ui.presenters.name import LENGTH, NamePresenter, NameQuestion
from ui.presenters.profile import ProfilePresenter
from ui.presenters.profiles import ProfilesPresenter
from ui.presenters.quick import QuickPresenter
from ui.presenters.segment import SegmentPresenter
from ui.presenters.temp import TempPresenter

LIMITS = {
    "max_bolus_uu": 1_200_000,
    "hourly_uu": 15_000_000,
    "daily_uu": 60_000_000,
    "max_basal_uu_per_h": 5_000_000,
    "min_interval_s": 60,
}


def refused(*codes: str, text: str = "the pump is stopped") -> Refused:
    return Refused([Reason(code=code, text=text) for code in codes])


def desk_of(**changed: object) -> FakeDesk:
    desk = FakeDesk(snapshot_of(limits=LIMITS, scheduled_uu_per_h=900_000, **changed))
    desk.client.temp_presets.return_value = Presets(presets={})
    desk.client.pin.return_value = {"set": False}
    return desk


def confirmed(desk: FakeDesk, matter: Matter) -> ConfirmPresenter:
    """Hold the button of a matter to its end."""
    confirm = ConfirmPresenter(desk)
    confirm.entered(matter=matter)
    confirm.held()
    return confirm


def types(form: TempPresenter | ExtendPresenter | SegmentPresenter, keys: str) -> None:
    for key in keys:
        form.key(key)


# --- durations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "shown", "minutes", "complete"),
    [
        ("", "0:00", 0, False),
        ("30", "0:30", 30, True),
        ("130", "1:30", 90, True),
        ("90", "0:90", 90, False),
        ("0230", "2:30", 150, True),
        ("2400", "24:00", 1_440, True),
        ("12345", "12:34", 754, True),
    ],
)
def test_a_duration_is_shown_as_it_is_typed(
    keys: str,
    shown: str,
    minutes: int,
    complete: bool,  # noqa: FBT001  # a table
) -> None:
    lasts = Duration()
    for key in keys:
        lasts.key(key)
    assert (lasts.shown, lasts.minutes, lasts.complete) == (shown, minutes, complete)


def test_a_duration_that_was_put_there_gives_way_to_the_first_digit() -> None:
    lasts = Duration(90)
    assert lasts.shown == "1:30"
    lasts.key("4")
    assert lasts.shown == "0:04"


# --- temporary basal --------------------------------------------------------------------------


def test_a_temporary_basal_is_typed_reviewed_and_begins_only_after_a_full_hold() -> None:
    desk = desk_of()
    temp = TempPresenter(desk)
    temp.entered()
    assert not temp.view().foot[-1].enabled
    types(temp, "150")
    temp.select("lasts")
    types(temp, "230")
    temp.press("review")
    (screen, words) = desk.shown[-1]
    matter = words["matter"]
    assert (screen, matter.big, matter.unit) == ("confirm", "150", "% of the profile")
    assert {row.caption: row.value for row in matter.rows} == {
        "The profile, now": "0.900 U/h",
        "This asks for, now": "1.350 U/h",
        "Basal limit": "5.000 U/h",
    }
    desk.client.start_temp.assert_not_called()
    desk.client.start_temp.return_value = TempStarted(
        temp=None, notices=["held down to 5.000 U/h by the limit"]
    )
    confirm = confirmed(desk, matter)
    desk.client.start_temp.assert_called_once_with("percent", 150, 9_000)
    assert (confirm.view().over, confirm.view().message) == (
        True,
        "held down to 5.000 U/h by the limit",
    )
    confirm.held()
    assert desk.client.start_temp.call_count == 1


def test_a_refused_temporary_basal_says_why_and_can_be_held_again() -> None:
    desk = desk_of()
    temp = TempPresenter(desk)
    temp.entered()
    temp.choose("rate")
    types(temp, "0.8")
    temp.select("lasts")
    types(temp, "10")
    temp.press("review")
    desk.client.start_temp.side_effect = refused("out_of_range", text="duration_s = 600 is short")
    confirm = confirmed(desk, desk.shown[-1][1]["matter"])
    assert (confirm.view().over, confirm.view().ready) == (False, True)
    assert confirm.view().message == "Duration_s = 600 is short."
    desk.client.start_temp.assert_called_once_with("rate", 800_000, 600)
    confirm.press("back")
    assert desk.shown[-1] == ("temp", {"kept": True})
    temp.entered(kept=True)
    assert [field.digits for field in temp.view().fields] == ["0.8", "0:10"]


def test_what_runs_is_said_and_ended_with_one_touch() -> None:
    running = {"kind": "percent", "value": 50, "duration_s": 7_200, "left_s": 4_980}
    desk = desk_of(temp=running | {"rate_uu_per_h": 450_000, "capped": False})
    temp = TempPresenter(desk)
    temp.entered()
    assert temp.view().note == "50% of the profile runs: 0.450 U/h now, 1 h 23 min left."
    temp.press("cancel")
    desk.client.cancel_temp.assert_called_once_with()


def test_a_preset_fills_the_fields() -> None:
    desk = desk_of()
    sport = Temp(kind="percent", value=50, duration_s=5_400)
    desk.client.temp_presets.return_value = Presets(presets={"Sport": sport})
    temp = TempPresenter(desk)
    temp.entered()
    temp.choose("presets")
    screen, words = desk.shown[-1]
    assert screen == "choose"
    rows = {row.text: row for row in words["asking"].rows}
    assert list(rows) == ["Sport", "Take one away"]
    assert rows["Sport"].value == "50% of the profile for 1 h 30 min"
    words["asking"].take(rows["Sport"].key, lambda _why: None)
    temp.entered(**desk.shown[-1][1])
    assert [field.digits for field in temp.view().fields] == ["50", "1:30"]
    assert temp.view().foot[-1].enabled


def test_what_is_typed_is_kept_under_a_name_but_never_over_another_preset() -> None:
    desk = desk_of()
    desk.client.temp_presets.return_value = Presets(
        presets={"keep": Temp(kind="rate", value=800_000, duration_s=5_400)}
    )
    desk.client.pin.return_value = {"set": False}
    temp = TempPresenter(desk)
    temp.entered()
    temp.choose("presets")
    asking = desk.shown[-1][1]["asking"]
    assert [row.text for row in asking.rows] == ["keep", "Take one away"], "nothing is typed"
    assert asking.note
    types(temp, "150")
    temp.select("lasts")
    types(temp, "200")
    temp.choose("presets")
    asking = desk.shown[-1][1]["asking"]
    row = next(row for row in asking.rows if row.text == "Keep under a name")
    assert row.value == "150% of the profile for 2 h 00 min"
    asking.take(row.key, lambda _why: None)
    screen, words = desk.shown[-1]
    assert screen == "name"
    said: list[str] = []
    words["question"].take("keep", said.append)
    assert said == ["There is a preset of this name."]
    desk.client.save_temp.assert_not_called()
    words["question"].take("Run", said.append)
    desk.client.save_temp.assert_called_once_with("Run", "percent", 150, 7_200)
    assert desk.shown[-1][0] == "choose"


# --- extended and quick -----------------------------------------------------------------------


def test_sr_05_both_parts_of_a_dual_bolus_are_the_whole() -> None:
    desk = desk_of()
    extend = ExtendPresenter(desk)
    extend.entered(amount_uu=2_550_000)
    extend.choose("30")
    assert extend.now_uu == 760_000  # 30 % is 0.765: on the pad's grid, rounded down
    extend.select("lasts")
    types(extend, "200")
    assert extend.view().note == "0.76 U now, then 1.79 U of 2.55 U over 2 h 00 min"
    extend.press("review")
    assert desk.shown[-1] == (
        "review",
        {"amount_uu": 2_550_000, "extended_uu": 1_790_000, "extended_s": 7_200, "purpose": None},
    )


@pytest.mark.parametrize("now", ["2.5", "3", "99.99"])
def test_sr_04_a_part_that_leaves_nothing_for_later_is_blocked_with_words(now: str) -> None:
    desk = desk_of()
    extend = ExtendPresenter(desk)
    extend.entered(amount_uu=2_500_000)
    extend.lasts.put(60)
    extend.select("now")
    types(extend, now)
    view = extend.view()
    assert (view.message, view.foot[-1].enabled) == (
        "Less than the whole goes out now: 2.50 U.",
        False,
    )
    extend.press("review")
    assert desk.shown == []


def test_sr_02_a_quick_bolus_stops_at_nothing_and_at_the_pumps_limit() -> None:
    desk = desk_of(quick_step_uu=500_000)
    quick = QuickPresenter(desk)
    quick.entered()
    seen = []
    for key in ("less", "more", "more", "more", "more", "less", "less", "less"):
        quick.press(key)
        seen.append(quick.view().digits)
    assert seen == ["0.00", "0.50", "1.00", "1.00", "1.00", "0.50", "0.00", "0.00"]
    quick.press("review")
    assert desk.shown == []
    quick.press("more")
    quick.press("review")
    assert desk.shown == [("review", {"amount_uu": 500_000})]


def test_without_a_set_step_there_is_no_quick_bolus() -> None:
    quick = QuickPresenter(desk_of(quick_step_uu=None))
    quick.entered()
    quick.press("more")
    view = quick.view()
    assert (view.digits, view.more, view.message) == (
        "0.00",
        False,
        "No step is set: Menu, Settings, Quick bolus.",
    )


# --- profiles ---------------------------------------------------------------------------------

DAY = [
    {"start_min_of_day": 0, "rate_uu_per_h": 800_000, "carb_ratio_mg_per_u": 12_500},
    {"start_min_of_day": 360, "rate_uu_per_h": 1_100_000},
]
FLAT = [{"start_min_of_day": 0, "rate_uu_per_h": 1_000_000}]
BASAL = Basal.of(
    {"active": "Day", "profiles": {"Day": DAY, "Flat": FLAT}, "rate_uu_per_h": 1_100_000}
)


def profiles_of(desk: FakeDesk) -> ProfilesPresenter:
    desk.client.basal.return_value = BASAL
    profiles = ProfilesPresenter(desk)
    profiles.entered()
    return profiles


def test_profiles_are_listed_with_what_a_day_comes_to() -> None:
    view = profiles_of(desk_of()).view()
    assert [(row.text, row.value) for row in view.rows] == [
        ("Day, in use", "24.60 U"),
        ("Flat", "24.00 U"),
    ]
    assert view.chosen == "Day"
    assert not view.foot[1].enabled, "the one in use is in use"


def test_using_another_profile_takes_a_full_hold_and_says_what_changes() -> None:
    desk = desk_of()
    profiles = profiles_of(desk)
    profiles.pick("Flat")
    profiles.press("use")
    matter = desk.shown[-1][1]["matter"]
    assert (matter.detail, matter.big) == ("Flat", "1.000")
    desk.client.use_basal.assert_not_called()
    confirmed(desk, matter)
    desk.client.use_basal.assert_called_once_with("Flat")


def test_with_a_pin_the_person_is_asked_for_it_before_anything_is_edited() -> None:
    desk = desk_of()
    desk.client.pin.return_value = {"set": True, "unlocked": False}
    profiles_of(desk).press("edit")
    screen, words = desk.shown[-1]
    assert (screen, words["question"].caption) == ("number", "PIN")
    words["question"].take("271828", lambda _why: None)
    desk.client.unlock.assert_called_once_with("271828")
    assert desk.shown[-1][0] == "profile"


@pytest.mark.parametrize(
    ("what", "method", "said"),
    [("copy", "copy_basal", ("Flat", "Rest")), ("rename", "rename_basal", ("Flat", "Rest"))],
)
def test_a_profile_is_copied_and_renamed_under_a_typed_name(
    what: str, method: str, said: tuple[str, ...]
) -> None:
    desk = desk_of()
    profiles = profiles_of(desk)
    profiles.pick("Flat")
    profiles.press("more")
    desk.shown[-1][1]["asking"].take(what, lambda _why: None)
    question = desk.shown[-1][1]["question"]
    question.take("Rest", lambda _why: None)
    getattr(desk.client, method).assert_called_once_with(*said)
    assert desk.shown[-1] == ("profiles", {"chosen": "Rest"})


def test_the_profile_in_use_cannot_be_asked_to_be_deleted_and_another_takes_a_hold() -> None:
    desk = desk_of()
    profiles = profiles_of(desk)
    profiles.press("more")
    assert [row.key for row in desk.shown[-1][1]["asking"].rows] == ["new", "copy", "rename"]
    profiles.pick("Flat")
    profiles.press("more")
    desk.shown[-1][1]["asking"].take("delete", lambda _why: None)
    confirmed(desk, desk.shown[-1][1]["matter"])
    desk.client.delete_basal.assert_called_once_with("Flat")


def draft() -> Draft:
    return Draft.of("Flat", BASAL.profiles["Flat"], in_use=False)


def test_a_segment_is_typed_into_its_place_and_what_a_calculator_takes_with_it() -> None:
    desk = desk_of()
    segment = SegmentPresenter(desk)
    segment.entered(draft=draft(), start_min=None)
    types(segment, "0630")
    segment.select("rate")
    types(segment, "1.25")
    segment.select("ratio")
    types(segment, "12.5")
    segment.press("take")
    screen, words = desk.shown[-1]
    assert (screen, words["chosen"]) == ("profile", 390)
    assert words["draft"].pieces == (
        Piece(0, 1_000_000),
        Piece(390, 1_250_000, carb_ratio_mg_per_u=12_500),
    )
    assert words["draft"].changed


def test_two_segments_cannot_begin_at_one_time_and_the_first_begins_at_midnight() -> None:
    desk = desk_of()
    segment = SegmentPresenter(desk)
    segment.entered(draft=draft(), start_min=None)
    types(segment, "0000")
    segment.select("rate")
    types(segment, "1")
    assert segment.view().message == "There is a segment from 00:00 on."
    segment.press("take")
    assert desk.shown == []
    segment.entered(draft=draft(), start_min=0)
    assert next(field.key for field in segment.view().fields) == "rate"
    assert [item.key for item in segment.view().foot] == ["back", "take"]


def kept(desk: FakeDesk, changed: Draft) -> ProfilePresenter:
    editor = ProfilePresenter(desk)
    editor.entered(draft=changed)
    editor.press("keep")
    return editor


def test_keeping_a_profile_that_is_not_in_use_sends_it_whole() -> None:
    desk = desk_of()
    kept(desk, draft().put(Piece(390, 1_250_000, target_mg_dl=110), None))
    name, segments = desk.client.import_basal.call_args.args
    assert (name, [(one.start_min_of_day, one.rate_uu_per_h) for one in segments]) == (
        "Flat",
        [(0, 1_000_000), (390, 1_250_000)],
    )
    assert [one.target_mg_dl for one in segments] == [None, 110]
    assert desk.client.import_basal.call_args.kwargs == {"replace": True, "confirm": False}
    assert desk.shown[-1] == ("profiles", {"chosen": "Flat"})


def test_what_the_pump_doubts_is_read_and_held_before_it_is_kept() -> None:
    desk = desk_of()
    doubt = "from 06:30 on nothing is given: say --yes where that is meant"
    desk.client.import_basal.side_effect = [refused("confirm", text=doubt), None]
    kept(desk, draft().put(Piece(390, 0), None))
    matter = desk.shown[-1][1]["matter"]
    assert matter.warning == "From 06:30 on nothing is given"
    assert desk.client.import_basal.call_count == 1
    confirmed(desk, matter)
    assert desk.client.import_basal.call_args.kwargs == {"replace": True, "confirm": True}


def test_the_profile_in_use_is_never_changed_without_a_hold() -> None:
    desk = desk_of()
    in_use = Draft.of("Day", BASAL.profiles["Day"], in_use=True).put(Piece(720, 950_000), None)
    kept(desk, in_use)
    desk.client.import_basal.assert_not_called()
    confirm = confirmed(desk, desk.shown[-1][1]["matter"])
    desk.client.import_basal.assert_called_once()
    assert confirm.view().over


def test_a_refused_profile_stays_a_draft_and_says_why() -> None:
    desk = desk_of()
    desk.client.import_basal.side_effect = refused("limit", text="over the basal limit")
    kept(desk, draft().put(Piece(390, 9_000_000), None))
    screen, words = desk.shown[-1]
    assert (screen, words["message"]) == ("profile", "Over the basal limit.")
    assert words["draft"].changed


def test_a_name_is_typed_letter_by_letter_and_ends_where_it_must() -> None:
    taken: list[str] = []
    desk = desk_of()
    name = NamePresenter(desk)
    name.entered(
        question=NameQuestion("New", "Name", lambda text, _refuse: taken.append(text), list)
    )
    assert not name.view().foot[-1].enabled
    for key in ("R", "a", "c", "e", "space", "other", "2"):
        assert key in {one for one, _words in name.view().keys}
        name.key(key)
    assert name.view().text == "Race 2|"
    for _letter in range(LENGTH):
        name.key("x")
    assert (len(name.view().text), name.view().message) == (
        LENGTH + 1,
        "A name has at most 20 characters.",
    )
    for _letter in range(LENGTH - len("Race 2")):
        name.key("erase")
    name.press("take")
    name.press("take")
    assert taken == ["Race 2"]
