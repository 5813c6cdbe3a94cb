"""A change of cartridge and set over the plant: what moves, what is asked, what is written down."""

from typing import Any

import pytest

from appliance.domain.set_change import KINDS, Step
from appliance.simulate.bench import Refusal, VirtualBench

BACK_TURN = 3_200


def suspended(**changed: Any) -> VirtualBench:
    bench = VirtualBench(basal_uu_per_h=1_000_000, **changed)
    bench.ask("suspend")
    bench.run(1)
    return bench


def take_out(bench: VirtualBench, carriage_steps: int) -> None:
    """Take the syringe out, with the carriage where a test wants it."""
    bench.plant.set({"syringe": "out", "carriage_steps": carriage_steps}, bench.now_ns)


def step(bench: VirtualBench, name: str, amount_uu: int = 0) -> dict[str, Any]:
    """Confirm a step twice and let it end; return its record."""
    asked = {"step": name, "amount_uu": amount_uu}
    prepared = bench.ask("cartridge.prepare", **asked, declared=True)
    record = bench.ask("cartridge.run", **asked, token=prepared["token"])
    bench.run_until(lambda: bench.dose(record["id"])["outcome"] != "open", 700)
    bench.run(1)
    return dict(bench.dose(record["id"]))


def test_a_whole_change_is_guided_and_each_step_is_accounted_apart_from_doses() -> None:
    bench = suspended()
    left_60_uu = bench.snapshot()["left_60_min_uu"]
    take_out(bench, 2_000)
    rewound = step(bench, "rewind")
    ended = (rewound["kind"], rewound["outcome"], rewound["certainty"])
    assert ended == ("rewind", "done", "exact")
    truth = bench.plant.status(bench.now_ns)
    assert truth["at_end"]
    assert truth["steps_reverse"] == rewound["confirmed_steps"]
    assert bench.snapshot()["reservoir_uu"] is None
    assert bench.snapshot()["cartridge"]["to_do"] == "load a cartridge"
    bench.plant.set({"syringe": "in"}, bench.now_ns)
    bench.ask("cartridge.load", amount_uu=180_000_000, kind="rapid", size_uu=300_000_000)
    assert bench.snapshot()["cartridge"]["to_do"] == "prime the tubing"
    primed = step(bench, "prime", 8_000_000)
    filled = step(bench, "cannula", 500_000)
    assert [primed["kind"], filled["kind"]] == ["prime", "cannula"]
    assert primed["confirmed_steps"] == bench.mechanics.steps_within(8_000_000)
    bench.ask("cartridge.finish", site="left, upper")
    shown = bench.ask("cartridge.show")
    assert shown["to_do"] is None
    assert [one["site"] for one in shown["sites"]] == ["left, upper"]
    assert shown["kind"] == "rapid"
    assert shown["wasted_uu"]["prime"] == bench.mechanics.uu_of(primed["confirmed_steps"])
    assert shown["wasted_uu"]["cannula"] == bench.mechanics.uu_of(filled["confirmed_steps"])
    assert (shown["reservoir_age_h"], shown["tubing_age_h"], shown["cannula_age_h"]) == (0, 0, 0)
    # It came out of the reservoir, and no window of doses knows of it.
    assert bench.snapshot()["reservoir_uu"] <= 180_000_000 - 8_498_000
    assert bench.snapshot()["left_60_min_uu"] == left_60_uu
    motions = {row.entry.body["motion"] for row in bench.rows("lease")}
    assert motions == {1, 2, 3}
    assert bench.ask("resume")["state"] == "running"
    bench.bolus("0.5")
    pump = bench.snapshot()
    assert pump["confirmed_steps"] <= bench.truth_steps <= pump["maximum_steps"]
    bench.close()


def test_a_change_of_the_set_leaves_nothing_owed_to_basal_or_to_the_next_bolus() -> None:
    bench = suspended()
    take_out(bench, 2_000)
    step(bench, "rewind")
    bench.plant.set({"syringe": "in"}, bench.now_ns)
    bench.ask("cartridge.load", amount_uu=180_000_000)
    step(bench, "prime", 1_000_000)
    bench.ask("cartridge.finish", site="left")
    bench.ask("resume")
    before_steps = bench.truth_steps
    bench.run(360)  # 0.1 U of basal at 1 U/h
    assert bench.truth_steps - before_steps <= bench.mechanics.steps_within(100_000) + 1
    bolus = bench.bolus("0.50")
    assert bolus["programmed_steps"] <= bench.mechanics.steps_within(500_000) + 1
    bench.close()


def test_sr_33_only_a_rewind_goes_back_and_it_ends_at_the_back_end_stop() -> None:
    bench = suspended()
    take_out(bench, 3_000)
    step(bench, "rewind")
    assert bench.plant.status(bench.now_ns)["carriage_steps"] in (-1, 0)
    assert bench.plant.status(bench.now_ns)["missed_edges"] == 0
    bench.close()


@pytest.mark.full
def test_a_rewind_from_the_front_end_stop_leaves_it_behind() -> None:
    bench = suspended(mechanics={"bore_um": 30_000, "lead_um": 2_000})  # a short way
    front_steps = bench.plant.settings.front_stop_steps
    bench.plant.set({"fill_nl": 0}, bench.now_ns)
    take_out(bench, front_steps + 10)
    assert bench.plant.status(bench.now_ns)["at_end"]
    bench.ask("alarms.acknowledge", number=None)
    rewound = step(bench, "rewind")
    assert rewound["outcome"] == "done"
    assert rewound["confirmed_steps"] == bench.mechanics.steps_within(310_000_000)
    assert not bench.plant.status(bench.now_ns)["at_end"]
    bench.close()


def test_a_rewind_that_begins_on_an_active_line_still_finds_the_back_end_stop() -> None:
    bench = suspended()
    take_out(bench, 2_000)
    bench.plant.inject("end_stop_stuck", {"at": "on"}, bench.now_ns)
    prepared = bench.ask("cartridge.prepare", step="rewind", amount_uu=0, declared=True)
    record = bench.ask("cartridge.run", step="rewind", amount_uu=0, token=prepared["token"])
    bench.run(2)
    assert bench.dose(record["id"])["outcome"] == "open"
    bench.plant.clear("end_stop_stuck", bench.now_ns)
    bench.run(8)
    assert bench.dose(record["id"])["outcome"] == "done"
    assert bench.plant.status(bench.now_ns)["carriage_steps"] in (-1, 0)
    bench.close()


def test_after_the_end_of_travel_a_change_is_possible_through_a_self_test() -> None:
    bench = VirtualBench(basal_uu_per_h=30_000_000)
    bench.plant.inject("end_stop_stuck", {"at": "on"}, bench.now_ns)
    bench.run_until(lambda: bench.state == "faulted", 60)
    bench.run(1)
    bench.plant.clear("end_stop_stuck", bench.now_ns)
    with pytest.raises(Refusal, match=r"The plunger|end stop.* comes first"):
        step(bench, "rewind")
    bench.ask("alarms.acknowledge", number=None)
    take_out(bench, 2_000)
    assert step(bench, "rewind")["outcome"] == "done"
    assert bench.state == "suspended"
    bench.close()


def test_sr_32_a_step_needs_two_confirmations_each_its_own() -> None:
    bench = suspended()
    for name in Step:
        with pytest.raises(Refusal, match=f"first declare that {KINDS[name].declaration}"):
            bench.ask("cartridge.prepare", step=name.value, amount_uu=1_000_000, declared=False)
    with pytest.raises(Refusal, match="ask anew"):
        bench.ask("cartridge.run", step="prime", amount_uu=1_000_000, token="no")  # noqa: S106
    asked = {"step": "prime", "amount_uu": 1_000_000}
    token = bench.ask("cartridge.prepare", **asked, declared=True)["token"]
    with pytest.raises(Refusal, match="another one"):
        bench.ask("cartridge.run", step="prime", amount_uu=2_000_000, token=token)
    with pytest.raises(Refusal, match="ask anew"):  # and it was good once
        bench.ask("cartridge.run", **asked, token=token)
    token = bench.ask("cartridge.prepare", **asked, declared=True)["token"]
    bench.run(31)
    with pytest.raises(Refusal, match="ask anew"):
        bench.ask("cartridge.run", **asked, token=token)
    assert bench.truth_steps == 0
    bench.close()


def test_sr_32_nothing_moves_while_an_alarm_invites_it_or_basal_runs() -> None:
    bench = VirtualBench()
    asked = {"step": "prime", "amount_uu": 1_000_000, "declared": True}
    with pytest.raises(Refusal, match="basal runs: pumpctl suspend first"):
        bench.ask("cartridge.prepare", **asked)
    bench.force(12_500)
    bench.run(1)
    with pytest.raises(Refusal, match="comes first: acknowledge it"):
        bench.ask("cartridge.prepare", **asked)
    bench.close()


@pytest.mark.parametrize(
    ("name", "amount_uu", "told"),
    [
        (
            "prime",
            10_010_000,
            "10010000 is out of range for one prime: 0.05 U to 10.00 U",
        ),
        (
            "cannula",
            2_010_000,
            "2010000 is out of range for one cannula: 0.05 U to 2.00 U",
        ),
        ("prime", 0, "amount_uu = 0 is out of range"),
    ],
)
def test_sr_32_a_step_has_a_largest_amount(name: str, amount_uu: int, told: str) -> None:
    bench = suspended()
    with pytest.raises(Refusal, match=told):
        bench.ask("cartridge.prepare", step=name, amount_uu=amount_uu, declared=True)
    bench.close()


def test_a_fluid_of_another_kind_is_refused_and_changes_nothing() -> None:
    bench = suspended()
    with pytest.raises(Refusal) as refused:
        bench.ask("cartridge.load", amount_uu=400_000_000, kind="nph", size_uu=None)
    assert refused.value.reasons == (
        "kind = 'nph' is refused: a fluid is rapid (as rapid-acting insulin) or test",
        "amount_uu = 400000000 is out of range: up to 300000000",
    )
    assert bench.snapshot()["reservoir_uu"] > 299_000_000
    bench.close()


def test_a_prime_is_stopped_like_a_dose_with_its_exact_part() -> None:
    bench = suspended()
    asked = {"step": "prime", "amount_uu": 10_000_000}
    token = bench.ask("cartridge.prepare", **asked, declared=True)["token"]
    record = bench.ask("cartridge.run", **asked, token=token)
    bench.run(3)
    (stopped,) = bench.ask("stop", what="all")["stopped"]
    assert stopped["id"] == record["id"]
    assert (stopped["outcome"], stopped["certainty"]) == ("stopped", "exact")
    assert 0 < stopped["confirmed_steps"] == bench.truth_steps
    assert bench.snapshot()["cartridge"]["last"] == "declared"  # it was not primed
    bench.close()


def test_an_unfinished_change_is_said_after_5_min_and_again_after_an_acknowledgement() -> None:
    bench = suspended()
    take_out(bench, 500)
    step(bench, "rewind")
    bench.frozen = {"guard", "stepper"}  # nothing moves any more: time alone goes by
    told = []
    for _ in range(2):
        bench.run(302)
        told += [one["text"] for one in bench.snapshot()["alarms"] if one["code"] == "A35"]
        bench.ask("alarms.acknowledge", number=None)
    assert told == ["the set is unfinished: load a cartridge"] * 2
    bench.close()


def test_a_crash_in_mid_rewind_closes_it_with_its_bounds() -> None:
    bench = suspended()
    take_out(bench, 3_000)
    prepared = bench.ask("cartridge.prepare", step="rewind", amount_uu=0, declared=True)
    record = bench.ask("cartridge.run", step="rewind", amount_uu=0, token=prepared["token"])
    bench.run(2)
    bench.kill_pump()
    bench.run(1)
    bench.start_pump()
    bench.run_until(lambda: bench.state == "faulted", 20)
    bench.run(1)
    dose = bench.dose(record["id"])
    moved = bench.plant.status(bench.now_ns)["steps_reverse"]
    assert dose["confirmed_steps"] <= moved <= dose["maximum_steps"]
    assert bench.snapshot()["confirmed_steps"] == bench.truth_steps == 0
    bench.close()
