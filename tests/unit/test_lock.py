"""The PIN over the whole engine: what waits for it, what a wrong one costs, and no way round."""

from pathlib import Path

import pytest

from appliance.adapters.pin import PinFile
from appliance.client.messages import GUARDED, PUMP_METHODS, Role
from appliance.domain.pin import is_pin, wait_ns
from appliance.domain.units import NS_PER_S
from appliance.simulate.bench import WIDE_LIMITS, Refusal, VirtualBench, _plain

PIN, OTHER = "271828", "314159"
LIMITS = _plain(WIDE_LIMITS)


def locked() -> VirtualBench:
    bench = VirtualBench(set_up=False)
    bench.ask("pin.set", old=None, new=PIN)
    bench.frozen = {"guard", "stepper"}  # nothing moves here: time alone goes by
    return bench


def wrong(bench: VirtualBench, pin: str = OTHER) -> str:
    with pytest.raises(Refusal) as refused:
        bench.ask("pin.unlock", pin=pin)
    return str(refused.value)


def test_without_a_pin_the_roles_alone_decide() -> None:
    bench = VirtualBench(set_up=False)
    bench.ask("limits.set", **LIMITS)
    assert bench.ask("pin.show") == {"set": False, "wrong_tries": 0, "wait_s": 0, "unlocked": False}
    with pytest.raises(Refusal, match="no PIN is set"):
        bench.ask("pin.unlock", pin=PIN)


def test_sr_65_every_verb_that_changes_a_setting_waits_for_the_pin() -> None:
    settings = {one.name for one in PUMP_METHODS if one.role is Role.SETTINGS}
    assert settings - GUARDED == {"pin.unlock", "pin.set", "pin.clear"}
    bench = locked()
    for verb in sorted(GUARDED):
        with pytest.raises(Refusal, match="the PIN is needed"):
            bench.ask(verb)
    assert [row.entry.body["name"] for row in bench.rows("setting")] == ["pin"]


def test_sr_65_the_right_pin_opens_settings_for_this_connection_and_60_s() -> None:
    bench = locked()
    assert bench.ask("pin.unlock", pin=PIN) == {"unlocked_s": 60}
    bench.ask("limits.set", **LIMITS)
    bench.run(50)
    bench.ask("limits.set", **LIMITS)  # use puts the end off
    bench.run(50)
    bench.ask("limits.set", **LIMITS)
    bench.run(61)
    with pytest.raises(Refusal, match="the PIN is needed"):
        bench.ask("limits.set", **LIMITS)
    bench.ask("pin.unlock", pin=PIN)
    bench.client_gone()  # the next one has not given it, whatever its number
    bench._connection -= 1
    with pytest.raises(Refusal, match="the PIN is needed"):
        bench.ask("limits.set", **LIMITS)


def test_sr_65_a_lock_locks_at_once() -> None:
    bench = locked()
    bench.ask("pin.unlock", pin=PIN)
    bench.ask("pin.lock")
    with pytest.raises(Refusal, match="the PIN is needed"):
        bench.ask("limits.set", **LIMITS)


def test_f69_after_five_wrong_tries_the_wait_doubles_and_a_restart_does_not_shorten_it() -> None:
    bench = locked()
    assert wrong(bench) == "wrong PIN; 4 tries are left"
    for _ in range(3):
        wrong(bench)
    assert wrong(bench) == "wrong PIN: wait 30 s"
    assert wrong(bench, PIN) == "5 wrong tries: wait 30 s"  # the right one has to wait too
    bench.run(20)
    bench.set_wall(+86_400)
    assert "wait 10 s" in wrong(bench, PIN)
    bench.frozen = set()
    bench.stop_pump()
    bench.boot += 1
    bench.start_pump()
    bench.run_until(lambda: bench.state != "starting", 20)
    assert "5 wrong tries: wait" in wrong(bench, PIN)
    bench.set_wall(-10 * 86_400)
    bench.run(31)
    assert wrong(bench) == "wrong PIN: wait 60 s"
    bench.run(61)
    bench.ask("pin.unlock", pin=PIN)
    assert bench.ask("pin.show")["wrong_tries"] == 0


def test_f69_a_try_is_durable_before_the_pin_is_looked_at() -> None:
    bench = locked()
    bench.stalled_disk = True
    token = bench.send("pin.unlock", pin=PIN)
    bench.run(1)
    assert token not in bench._answers
    with pytest.raises(Refusal, match="another PIN is being looked at"):
        bench.ask("pin.unlock", pin=PIN)
    bench.frozen = set()
    bench.kill_pump()
    bench.disk_goes_on()
    bench.start_pump()
    bench.run_until(lambda: bench.state != "starting", 20)
    assert bench.ask("pin.show")["wrong_tries"] <= 1


def test_sr_65_the_pin_is_changed_with_the_old_one_and_the_ledger_never_holds_it() -> None:
    bench = locked()
    with pytest.raises(Refusal, match="wrong PIN"):
        bench.ask("pin.set", old=OTHER, new="999999")
    with pytest.raises(Refusal, match="6 to 12 digits"):
        bench.ask("pin.set", old=PIN, new="12345x")
    bench.ask("pin.set", old=PIN, new=OTHER)
    bench.ask("pin.unlock", pin=OTHER)
    with pytest.raises(Refusal, match="wrong PIN"):
        bench.ask("pin.clear", old=PIN)
    bench.ask("pin.clear", old=OTHER)
    bench.ask("limits.set", **LIMITS)
    told = [row.entry.body for row in bench.rows("setting") if row.entry.body["name"] == "pin"]
    assert [(one["old"], one["new"]) for one in told] == [
        (None, "set"),
        ("set", "set"),
        ("set", None),
    ]
    assert not any(pin in repr(row.entry.body) for row in bench.rows() for pin in (PIN, OTHER))


def test_a_pin_whose_file_is_gone_keeps_settings_locked_until_a_new_one_is_set() -> None:
    bench = locked()
    bench.pin = ""
    with pytest.raises(Refusal, match="the PIN's file is gone"):
        bench.ask("pin.unlock", pin=PIN)
    bench.ask("pin.set", old=None, new=OTHER)
    bench.ask("pin.unlock", pin=OTHER)


@pytest.mark.parametrize(
    "text",
    ["", "12345", "1234567890123", "12345a", "\uff11\uff12\uff13\uff14\uff15\uff16", " 123456"],
)
def test_what_is_no_pin(text: str) -> None:
    assert not is_pin(text)


def test_the_wait_doubles_up_to_an_hour() -> None:
    waits_s = [wait_ns(tries) // NS_PER_S for tries in (0, 4, 5, 6, 7, 11, 12, 13, 1_000)]
    assert waits_s == [0, 0, 30, 60, 120, 1_920, 3_600, 3_600, 3_600]


def test_sr_65_the_file_holds_a_salted_slow_hash_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    file = PinFile(path)
    assert file.check(PIN) == "missing"
    assert file.store(PIN) == "stored"
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert PIN not in first
    assert (file.check(PIN), file.check(OTHER)) == ("right", "wrong")
    file.store(PIN)
    assert path.read_text() != first  # another salt
    path.write_text("{}")
    assert file.check(PIN) == "missing"
    assert file.forget() == "forgotten"
    assert not path.exists()
    assert "cannot be kept" in PinFile(tmp_path / "no" / "pin").store(PIN)


# ---------------------------------------------------------------------- the same amount (SR-10)


@pytest.mark.parametrize(("seconds", "asked"), [(899, True), (901, False)])
def test_sr_10_the_same_amount_within_15_min_needs_a_second_confirmation(
    seconds: int, *, asked: bool
) -> None:
    bench = VirtualBench(basal_uu_per_h=0, pace=20)
    bench.bolus("0.5")
    begun_ns = bench.rows("intent")[-1].entry.mono_ns
    bench.run_to(begun_ns + seconds * NS_PER_S)
    dose = {
        "request_id": "00000000-0000-4000-8000-00000000000a",
        "amount_uu": 500_000,
        "speed": "normal",
    }
    review = bench.ask("bolus.review", **dose)
    assert review["token"] is not None  # it is a question, no refusal
    text = "0.50 U was begun 14 min 59 s ago: confirm it again"
    assert review["again"] == (text if asked else None)
    given = {**dose, "token": review["token"], "stay": True}
    if asked:
        with pytest.raises(Refusal, match="14 min 59 s ago"):
            bench.ask("bolus.deliver", **given, again=False)
    bench.ask("bolus.deliver", **given, again=asked)


def test_sr_10_another_amount_is_asked_for_once() -> None:
    bench = VirtualBench(basal_uu_per_h=0, pace=20)
    bench.bolus("0.5")
    bench.run(60)
    review = bench.ask(
        "bolus.review",
        request_id="00000000-0000-4000-8000-00000000000b",
        amount_uu=510_000,
        speed="normal",
    )
    assert review["again"] is None
