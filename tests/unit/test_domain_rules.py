"""The tables that everybody relies on: states, outcomes, reasons, alarms and error codes."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import errors
from appliance.domain.alarms import TABLE, AlarmCode, Priority
from appliance.domain.bolus import (
    RATE_UU_PER_H,
    Speed,
    amount_reasons,
    plan,
    reservoir_reason,
    state_reasons,
)
from appliance.domain.limits import DEFAULTS, Limits
from appliance.domain.mechanics import Mechanics
from appliance.domain.outcomes import Bounds, Certainty, DoseKind, Outcome, shares
from appliance.domain.states import ALLOWED, PumpState, moved
from appliance.errors import IllegalTransition, PumpError

MECHANICS = Mechanics(5_890_141, 3_200)

# ------------------------------------------------------------------ states


def test_every_state_has_a_row_and_no_state_follows_itself() -> None:
    assert set(ALLOWED) == set(PumpState)
    assert [state for state, after in ALLOWED.items() if state in after] == []


def test_any_state_can_become_faulted() -> None:
    stuck = [one for one in PumpState if PumpState.FAULTED not in ALLOWED[one]]
    assert stuck == [PumpState.FAULTED]


def test_sr_38_from_a_fault_there_is_no_way_but_through_the_self_test() -> None:
    assert ALLOWED[PumpState.FAULTED] == {PumpState.STARTING}
    for target in set(PumpState) - {PumpState.STARTING}:
        with pytest.raises(IllegalTransition, match=f"faulted to {target.value}"):
            moved(PumpState.FAULTED, target)


def test_sr_57_what_the_self_test_inhibits_does_not_run_without_another_self_test() -> None:
    assert PumpState.RUNNING not in ALLOWED[PumpState.INHIBITED]
    before_running = {one for one in PumpState if PumpState.RUNNING in ALLOWED[one]}
    assert before_running == {PumpState.STARTING, PumpState.STOPPED, PumpState.SUSPENDED}


def test_every_state_can_be_reached_from_the_start_and_left_again() -> None:
    reached, waiting = set(), [PumpState.STARTING]
    while waiting:
        state = waiting.pop()
        if state not in reached:
            reached.add(state)
            waiting.extend(ALLOWED[state])
    assert reached == set(PumpState)
    assert all(ALLOWED[state] for state in PumpState)


def test_a_move_is_made_exactly_where_the_table_has_it() -> None:
    for current, target in product(PumpState, repeat=2):
        if target in ALLOWED[current]:
            assert moved(current, target) is target
        else:
            with pytest.raises(IllegalTransition, match=f"{current.value} to {target.value}"):
                moved(current, target)


def test_what_the_ledger_keeps_is_never_renamed() -> None:
    assert {one.name: one.value for one in PumpState} == {
        "STARTING": "starting",
        "INHIBITED": "inhibited",
        "STOPPED": "stopped",
        "RUNNING": "running",
        "SUSPENDED": "suspended",
        "FAULTED": "faulted",
    }
    assert {one.value for one in Outcome} == {"open", "done", "stopped", "fault", "uncertain"}
    assert {one.value for one in Certainty} == {"open", "exact", "uncertain", "unknown"}
    assert {one.value for one in DoseKind} == {
        *("bolus", "extended", "basal", "prime", "cannula", "rewind"),
    }
    assert {one.value for one in Speed} == {"slow", "normal", "fast"}


# ------------------------------------------------------------------ outcomes


@given(st.integers(-5, 10**9), st.integers(-5, 10**9))
def test_sr_36_bounds_are_two_counts_the_lower_one_first(low: int, high: int) -> None:
    if 0 <= low <= high:
        bounds = Bounds(low, high)
        exact = low == high
        assert bounds.certainty is (Certainty.EXACT if exact else Certainty.UNCERTAIN)
    else:
        with pytest.raises(ValueError, match=f"{low} to {high} steps"):
            Bounds(low, high)


@given(st.integers(-100, 10_000), st.lists(st.integers(0, 500), max_size=30))
def test_sr_36_a_count_is_dealt_to_leases_in_their_order_and_none_gets_too_much(
    count: int, sizes: list[int]
) -> None:
    dealt = shares(count, sizes)
    assert len(dealt) == len(sizes)
    assert sum(dealt) == min(max(0, count), sum(sizes))
    assert all(0 <= part <= size for part, size in zip(dealt, sizes, strict=True))
    full = [part == size for part, size in zip(dealt, sizes, strict=True)]
    after = dealt[full.index(False) + 1 :] if False in full else []
    assert not any(after)


# ------------------------------------------------------------------ a bolus, and what is against it

LIMITS = Limits(10_000_000, 15_000_000, 60_000_000, 5_000_000, 60)
CEILING_UU = 25_000_000


@pytest.mark.parametrize(
    ("amount_uu", "codes"),
    [
        (50_000, []),
        (60_000, []),
        (2_500_000, []),
        (10_000_000, []),
        (49_999, ["too_small", "off_grid"]),
        (40_000, ["too_small"]),
        (0, ["too_small"]),
        (-1, ["too_small", "off_grid"]),
        (-10_000_000, ["too_small"]),
        (10_010_000, ["too_large"]),
        (10_000_001, ["too_large", "off_grid"]),
        (100_000_000, ["too_large"]),
        (2**63, ["too_large", "off_grid"]),
        (50_001, ["off_grid"]),
        (2_505_000, ["off_grid"]),
    ],
)
def test_sr_04_an_amount_is_taken_as_it_is_or_refused_with_every_reason(
    amount_uu: int, codes: list[str]
) -> None:
    reasons = amount_reasons(amount_uu, LIMITS, CEILING_UU)
    assert [one.code for one in reasons] == codes
    for one in reasons:
        assert one.field == "amount_uu"
        assert one.value == str(amount_uu)
        assert one.range == ("steps of 0.01 U" if one.code == "off_grid" else "0.05 U to 10.00 U")
        assert one.text


def test_sr_04_an_amount_just_over_the_limit_does_not_read_as_the_limit() -> None:
    over, _ = amount_reasons(10_000_001, LIMITS, CEILING_UU)
    assert over.text == "10.000001 U is over the limit for one bolus: 0.05 U to 10.00 U"


@given(st.integers(-(10**9), 10**9), st.integers(50_000, 10**9), st.integers(50_000, 25_000_000))
def test_sr_13_whatever_is_configured_no_bolus_is_over_the_limit_or_the_ceiling(
    amount_uu: int, max_bolus_uu: int, ceiling_uu: int
) -> None:
    limits = Limits(max_bolus_uu, 15_000_000, 60_000_000, 5_000_000, 60)
    allowed = not amount_reasons(amount_uu, limits, ceiling_uu)
    on_grid = amount_uu % 10_000 == 0
    assert allowed == (on_grid and 50_000 <= amount_uu <= min(max_bolus_uu, ceiling_uu))


def test_sr_13_a_limit_over_the_ceiling_still_refuses_above_the_ceiling() -> None:
    wide = Limits(100_000_000, 100_000_000, 300_000_000, 0, 60)
    assert amount_reasons(25_000_000, wide, CEILING_UU) == []
    (reason,) = amount_reasons(25_010_000, wide, CEILING_UU)
    assert reason.text == "25.01 U is over the limit for one bolus: 0.05 U to 25.00 U"


@pytest.mark.parametrize("state", PumpState)
def test_only_a_running_pump_takes_a_bolus_and_says_what_it_is_instead(state: PumpState) -> None:
    reasons = state_reasons(state, running_bolus=False, self_test=True)
    if state is PumpState.RUNNING:
        assert reasons == []
    else:
        assert [(one.code, one.value, one.range) for one in reasons] == [
            ("state", state.value, "running")
        ]
        assert state.value in reasons[0].text


def test_every_reason_of_the_state_is_given() -> None:
    both = state_reasons(PumpState.SUSPENDED, running_bolus=True, self_test=False)
    assert [one.code for one in both] == ["state", "busy"]
    unproven = state_reasons(PumpState.RUNNING, running_bolus=True, self_test=False)
    assert [one.code for one in unproven] == ["self_test", "busy"]


@pytest.mark.parametrize(
    ("amount_uu", "reservoir_uu", "codes"),
    [
        (1_000_000, None, ["no_cartridge"]),
        (1_000_000, 1_000_000, []),
        (1_000_000, 999_999, ["reservoir"]),
        (50_000, 0, ["reservoir"]),
    ],
)
def test_sr_31_no_bolus_starts_that_the_reservoir_cannot_give(
    amount_uu: int, reservoir_uu: int | None, codes: list[str]
) -> None:
    reasons = reservoir_reason(amount_uu, reservoir_uu)
    assert [one.code for one in reasons] == codes
    if codes == ["reservoir"]:
        assert (reasons[0].value, reasons[0].range) == (str(amount_uu), f"up to {reservoir_uu}")


@given(st.sampled_from(sorted(Speed)), st.integers(0, 25_000_000), st.integers(0, 5_890_140))
def test_sr_18_a_plan_is_whole_microsteps_and_its_remainder_is_what_was_left(
    speed: Speed, amount_uu: int, carry: int
) -> None:
    bolus = plan(amount_uu, speed, MECHANICS, carry)
    assert bolus.steps * 5_890_141 + bolus.remainder == carry + amount_uu * 3_200
    assert 0 <= bolus.remainder < 5_890_141
    assert bolus.rate_uu_per_h == RATE_UU_PER_H[speed]


def test_the_three_speeds_are_0_75_and_1_5_and_5_u_a_minute() -> None:
    per_min_uu = {speed.value: rate // 60 for speed, rate in RATE_UU_PER_H.items()}
    assert per_min_uu == {"slow": 750_000, "normal": 1_500_000, "fast": 5_000_000}
    assert plan(1_500_000, Speed.NORMAL, MECHANICS).duration_ns == 60_000_000_000
    assert plan(750_000, Speed.SLOW, MECHANICS).duration_ns == 60_000_000_000
    assert DEFAULTS.max_bolus_uu == 10_000_000


# ------------------------------------------------------------------ alarms


def test_sr_48_every_alarm_has_one_row_and_one_code_of_its_own() -> None:
    assert set(TABLE) == set(AlarmCode)
    codes = [one.value for one in AlarmCode]
    assert len(codes) == len(set(codes)) == len(AlarmCode.__members__)  # an alias would hide one
    assert all(re.fullmatch(r"A[0-9]{2}", code) for code in codes)
    names = [kind.name for kind in TABLE.values()]
    assert len(names) == len(set(names))


def test_alarm_codes_are_what_the_ledger_keeps_and_never_change_their_meaning() -> None:
    known = {
        "A01": "OCCLUSION",
        "A02": "EMPTY",
        "A03": "LOW_RESERVOIR",
        "A04": "VERY_LOW_RESERVOIR",
        "A05": "END_OF_TRAVEL",
        "A06": "MOTOR_FAULT",
        "A07": "GUARD_TRIP",
        "A08": "LEDGER_FAILURE",
        "A09": "DELIVERY_UNCERTAIN",
        "A10": "CLOCK_NOT_SET",
        "A11": "TIMING_FAULT",
        "A12": "UNCLEAN_RESTART",
        "A13": "LIMIT_HELD",
        "A14": "SENSOR_FAULT",
        "A15": "NO_LIVE_STOP",
        "A16": "HISTORY_UNKNOWN",
        "A17": "CLOCK_STEPPED",
        "A18": "SELF_TEST",
        "A20": "CONFIG_CHANGED",
        "A21": "TOO_HOT",
        "A22": "POWER_WEAK",
        "A23": "BATTERY_LOW",
        "A24": "POWER_FAILS",
        "A25": "BATTERY_GAUGE",
        "A26": "TOUCH_STUCK",
        "A27": "SLEPT",
    }
    names = {one.value: one.name for one in AlarmCode}
    assert {code: names.get(code) for code in known} == known


def test_sr_48_what_stopped_delivery_or_left_it_in_doubt_is_high() -> None:
    high = {code for code, kind in TABLE.items() if kind.priority is Priority.HIGH}
    assert high == {
        AlarmCode.OCCLUSION,
        AlarmCode.EMPTY,
        AlarmCode.END_OF_TRAVEL,
        AlarmCode.MOTOR_FAULT,
        AlarmCode.GUARD_TRIP,
        AlarmCode.LEDGER_FAILURE,
        AlarmCode.DELIVERY_UNCERTAIN,
        AlarmCode.TIMING_FAULT,
        AlarmCode.UNCLEAN_RESTART,
        AlarmCode.HISTORY_UNKNOWN,
        AlarmCode.SELF_TEST,
        AlarmCode.RECORD_DAMAGED,
        AlarmCode.CONFIG_CHANGED,
        AlarmCode.POWER_FAILS,
        AlarmCode.SLEPT,
        AlarmCode.AUTO_OFF,
        AlarmCode.LOCKED,
        AlarmCode.URGENT_LOW_GLUCOSE,  # the patient's harm, not the pump's
    }
    low = {code for code, kind in TABLE.items() if kind.priority is Priority.LOW}
    assert low == {
        AlarmCode.LOW_RESERVOIR,
        AlarmCode.CLOCK_STEPPED,
        AlarmCode.TOUCH_STUCK,
        AlarmCode.UNFINISHED,
        AlarmCode.SITE_DUE,
        AlarmCode.CHECK_GLUCOSE,
        AlarmCode.MISSED_MEAL,
        AlarmCode.REMINDER,
        AlarmCode.HIGH_GLUCOSE,
        AlarmCode.GLUCOSE_RISING,
        AlarmCode.BASAL_SUSPENDED,
    }


def test_the_priorities_are_in_order_so_that_the_highest_wins() -> None:
    assert sorted(Priority) == [Priority.LOW, Priority.MEDIUM, Priority.HIGH]
    assert [int(one) for one in sorted(Priority)] == [1, 2, 3]  # the guard's numbers too


@pytest.mark.parametrize("code", AlarmCode)
def test_sr_49_every_alarm_tells_a_person_what_it_is_and_what_to_do(code: AlarmCode) -> None:
    kind = TABLE[code]
    assert kind.name[0].isupper()
    assert 1 <= len(kind.name) <= 40
    assert kind.what_to_do
    for sentence in kind.what_to_do:
        assert re.fullmatch(r"[A-Z].*[^ ]", sentence)
        assert len(sentence) <= 100
    # A HIGH alarm means that delivery stopped, and the way back is always told. Two are HIGH for
    # what they say, while delivery goes on; heat stops it as MEDIUM (SR-61), and a suspension by
    # glucose, which is LOW, has a way back of its own.
    goes_on = {AlarmCode.RECORD_DAMAGED, AlarmCode.URGENT_LOW_GLUCOSE}
    stops = (kind.priority is Priority.HIGH and code not in goes_on) or (
        code in {AlarmCode.TOO_HOT, AlarmCode.BASAL_SUSPENDED}
    )
    assert any("resume" in sentence for sentence in kind.what_to_do) == stops


# ------------------------------------------------------------------ errors


def every_error() -> list[type[PumpError]]:
    found, waiting = [], [PumpError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__ == errors.__name__:
            found.append(kind)
        waiting.extend(kind.__subclasses__())
    return found


def test_every_error_has_a_code_that_nobody_else_has() -> None:
    codes = [kind.code for kind in every_error()]
    assert len(codes) == len(set(codes))
    assert all("code" in vars(kind) for kind in every_error())  # its own, not its parent's


def test_error_codes_are_what_the_ledger_quotes_and_never_change_their_meaning() -> None:
    known = {
        "PumpError": "E000",
        "BadAmount": "E101",
        "BadConfiguration": "E102",
        "BadMechanics": "E103",
        "BadProfile": "E104",
        "ActuatorFault": "E201",
        "PinFault": "E202",
        "SensorFault": "E203",
        "IllegalTransition": "E301",
        "AlreadyRunning": "E302",
        "LedgerFault": "E401",
        "LedgerUnknown": "E402",
        "BrokenChain": "E403",
        "NewerLedger": "E404",
        "ProtocolFault": "E501",
        "WireLost": "E502",
    }
    codes = {kind.__name__: kind.code for kind in every_error()}
    assert {name: codes.get(name) for name in known} == known
    assert all(re.fullmatch(r"E[0-5][0-9]{2}", code) for code in codes.values())


def test_every_error_is_also_the_built_in_that_it_resembles() -> None:
    plain = [
        kind.__name__
        for kind in every_error()
        if not issubclass(kind, ValueError | OSError | RuntimeError)
    ]
    assert set(plain) <= {"PumpError", "ActuatorFault", "SensorFault"}


def test_the_errors_that_list_faults_list_them_all() -> None:
    said = errors.BadConfiguration("pump.toml", ["one", "two"])
    assert (str(said), said.source, said.faults) == (
        "pump.toml: one; two",
        "pump.toml",
        ["one", "two"],
    )
    assert errors.BadProfile(["one", "two"]).faults == ["one", "two"]
    assert str(errors.BadProfile(["one", "two"])) == "one; two"
    assert errors.ActuatorFault("stuck", issued_steps=3).issued_steps == 3
    assert errors.ActuatorFault("stuck").issued_steps == 0
    assert errors.BrokenChain(7, "row 7").seq == 7
