"""Which touches count, to the millisecond."""

import pytest

from ui.fingers import (
    BUTTON_AGAIN_S,
    CALM_S,
    KEY_AGAIN_S,
    REPEATS_PER_MIN,
    SAME_FINGER_S,
    Gate,
    SameFinger,
    StuckWatch,
)


@pytest.mark.parametrize(("gap_ms", "counted"), [(10, 1), (49, 1), (50, 1), (119, 2), (120, 2)])
def test_sr_06_a_key_pressed_twice_within_50_ms_counts_once_and_after_120_ms_twice(
    gap_ms: int, counted: int
) -> None:
    gate = Gate(KEY_AGAIN_S)
    assert [gate.passes(1.0), gate.passes(1.0 + gap_ms / 1000)].count(True) == counted


def test_a_key_that_bounces_for_long_counts_at_most_every_85_ms() -> None:
    gate = Gate(KEY_AGAIN_S)
    counted = [gate.passes(ms / 1000) for ms in range(0, 200, 10)]
    assert [place * 10 for place, one in enumerate(counted) if one] == [0, 90, 180]


@pytest.mark.parametrize("gap_ms", [10, 50, 120, 250, 500, 599])
def test_f36_a_button_that_acts_takes_a_double_tap_for_one(gap_ms: int) -> None:
    gate = Gate(BUTTON_AGAIN_S)
    assert gate.passes(5.0)
    assert not gate.passes(5.0 + gap_ms / 1000)
    assert gate.passes(5.61)


def test_sr_07_the_finger_that_changed_the_screen_does_nothing_more_near_its_place() -> None:
    rule = SameFinger(px_per_mm=5.0)
    rule.touched(1.0, 100, 100)
    rule.changed(1.05)
    assert not rule.passes(1.3, 110, 110)
    assert rule.passes(1.3, 100 + 15 * 5, 100), "a finger 15 mm away is another one"
    assert rule.passes(1.06 + SAME_FINGER_S, 100, 100)


def test_a_screen_that_changed_by_itself_is_deaf_to_the_last_touch_alone() -> None:
    rule = SameFinger(px_per_mm=5.0)
    rule.changed(1.0)
    assert rule.passes(1.1, 0, 0)


def test_sr_11_a_touch_held_over_10_s_turns_entry_off_until_all_is_calm() -> None:
    watch = StuckWatch()
    watch.down("finger", 0.0)
    assert not watch.is_stuck(10.0)
    assert (watch.stuck(10.0), watch.stuck(10.1)) == ("no", "held")
    watch.up("finger", 12.0)
    assert watch.is_stuck(12.0 + CALM_S - 0.1)
    assert not watch.is_stuck(12.0 + CALM_S)


def test_sr_11_a_key_repeated_over_100_times_a_minute_turns_entry_off() -> None:
    watch = StuckWatch()
    for press in range(REPEATS_PER_MIN):
        watch.key("5", press * 0.55)
    assert not watch.is_stuck(55.0)
    watch.key("5", 55.1)
    assert watch.stuck(55.2) == "repeats"
    assert not watch.is_stuck(55.2 + CALM_S)


def test_a_key_pressed_by_an_eager_person_is_no_stuck_key() -> None:
    watch = StuckWatch()
    for press in range(300):
        watch.key("5", press * 0.61)
        assert not watch.is_stuck(press * 0.61)
