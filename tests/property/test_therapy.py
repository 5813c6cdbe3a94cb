"""Whatever is asked of basal and boluses, in whatever order: plant, ledger and doses agree."""

import random
from typing import Any

import pytest

from appliance.domain.units import NS_PER_H
from appliance.simulate.bench import Refusal, VirtualBench


def asked(bench: VirtualBench, chance: random.Random) -> None:
    """Ask for one thing at random; a refusal is an answer too."""
    amount = chance.choice(["0.10", "0.35", "1.00", "2.47"])
    try:
        match chance.randrange(10):
            case 0 | 1:
                bench.start_bolus(amount, speed=chance.choice(["slow", "normal", "fast"]))
            case 2:
                bench.start_bolus(amount, extend=amount, over_s=chance.choice([900, 1_800, 7_200]))
            case 3:
                bench.start_bolus("1.50", extend="0.85", over_s=chance.choice([900, 3_600]))
            case 4:
                value = chance.choice([0, 50, 150, 250])
                bench.ask("temp.start", kind="percent", value=value, duration_s=1_800)
            case 5:
                bench.ask("temp.start", kind="rate", value=1_234_000, duration_s=900)
            case 6:
                bench.ask("temp.cancel")
            case 7:
                bench.ask("stop", what=chance.choice(["now", "extended", "bolus"]))
            case 8:
                bench.ask("suspend")
            case _:
                bench.set_wall(chance.choice([-3_600, 3_600, 86_400]))
    except Refusal:
        pass
    if bench.state == "suspended":
        bench.run(chance.choice([1, 300]))
        bench.ask("resume")


def day_of(seed: int, hours: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    bench = VirtualBench(basal_uu_per_h=600_000, pace=50)
    points = [(0, 600_000), (360, 1_100_000), (720, 300_000), (1_080, 900_000)]
    segments = [{"start_min_of_day": at, "rate_uu_per_h": rate} for at, rate in points]
    bench.ask("basal.import", name="Four", segments=segments, replace=False, confirm=True)
    bench.ask("basal.use", name="Four")
    end_ns = bench.now_ns + hours * NS_PER_H
    while bench.now_ns < end_ns:
        bench.run(chance.choice([1, 20, 90, 400, 900]))
        asked(bench, chance)
        assert bench.state == "running", bench.snapshot()["why"]
        shown = bench.snapshot()
        assert shown["confirmed_steps"] <= bench.truth_steps <= shown["maximum_steps"]
    bench.ask("suspend")
    bench.run(60)
    bodies: list[dict[str, Any]] = [row.entry.body for row in bench.rows("closed")]
    assert {body["certainty"] for body in bodies} == {"exact"}
    assert len(bodies) == len(bench.rows("intent"))
    assert sum(body["confirmed_steps"] for body in bodies) == bench.truth_steps
    shown = bench.snapshot()
    assert shown["confirmed_steps"] == shown["maximum_steps"] == bench.truth_steps
    on_board = sum(one.bolus_maximum + one.basal_maximum for one in bench.pump.book.spent)
    assert on_board == bench.truth_steps
    asked_uu = sum(
        body["programmed_uu"]
        if body["outcome"] == "done"
        else bench.mechanics.uu_of_up(body["confirmed_steps"])
        for body in bodies
    )
    # A stopped part keeps under a step back, which the carry gives to what comes next.
    stopped = sum(body["outcome"] == "stopped" for body in bodies)
    assert abs(bench.truth_steps - bench.mechanics.steps_within(asked_uu)) <= 2 + stopped


def test_whatever_is_asked_plant_ledger_and_doses_agree() -> None:
    day_of(seed=1, hours=1)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2, 8))
def test_whatever_is_asked_in_half_a_day_plant_ledger_and_doses_agree(seed: int) -> None:
    day_of(seed, hours=12)
