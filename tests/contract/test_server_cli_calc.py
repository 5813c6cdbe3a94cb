"""pumpctl calc with a pump attached: what is not typed comes from it."""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.adapters.server import Done, Server
from appliance.cli.__main__ import pumpctl

_SPEC = importlib.util.spec_from_file_location(
    "scripted_pump", Path(__file__).parent / "test_server_scripted.py"
)
scripted = sys.modules.setdefault("scripted_pump", importlib.util.module_from_spec(_SPEC))
if not hasattr(scripted, "serve"):
    _SPEC.loader.exec_module(scripted)
ScriptedPump, serve, snapshot = scripted.ScriptedPump, scripted.serve, scripted.snapshot
pump = scripted.pump

RATIOS = {"carb_ratio_mg_per_u": 12_000, "sensitivity_mg_dl_per_u": 40, "target_mg_dl": 110}
IOB = {"bolus": 700_000, "basal": -200_000, "total": 500_000}


@pytest.fixture
def demo(pump: ScriptedPump) -> Iterator[tuple[Path, Server]]:
    place = Path(tempfile.mkdtemp(prefix="bp-", dir="/tmp"))
    (place / "run").mkdir()
    serving = serve(pump, place / "run/pumpd.sock")
    yield place, serving
    serving.close()
    for left in (place / "run").iterdir():
        left.unlink()
    (place / "run").rmdir()
    place.rmdir()


def profile(**ratios: int) -> Done:
    """At 14:13 the second segment is in force."""
    night = {"start_min_of_day": 0, "rate_uu_per_h": 700_000, "carb_ratio_mg_per_u": 99_000}
    day = {"start_min_of_day": 390, "rate_uu_per_h": 850_000, **ratios}
    return Done({"active": "Day", "profiles": {"Day": [night, day]}, "rate_uu_per_h": 850_000})


def calc(folder: Path, *words: str) -> Result:
    result = CliRunner().invoke(pumpctl, ["calc", "--dir", str(folder), *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_segment_in_force_and_the_insulin_on_board_come_from_the_pump(
    demo: tuple[Path, Server], pump: ScriptedPump
) -> None:
    folder, server = demo
    pump.script["basal.show"] = profile(**RATIOS)
    server.publish(snapshot(iob_uu=IOB))
    result = calc(folder, "--carbs", "30", "--glucose", "150", "--json")
    body = json.loads(result.stdout)
    # 30/12 = 2.5; (150 - 110)/40 = 1; 0.7 - 0.2 = 0.5; 3.0
    assert (body["food_u"], body["correction_u"], body["iob_u"]) == (2.5, 1, 0.5)
    assert body["total_u"] == 3
    assert body["inputs"]["basal_uu_per_h"] == 850_000
    assert "from the pump: ratio_mg_per_u = 12000" in result.stderr


def test_what_is_typed_comes_before_what_the_pump_says(
    demo: tuple[Path, Server], pump: ScriptedPump
) -> None:
    folder, server = demo
    pump.script["basal.show"] = profile(**RATIOS)
    server.publish(snapshot(iob_uu=IOB))
    words = ("--carbs", "30", "--ratio", "10", "--iob", "0.4", "--json")
    inputs = json.loads(calc(folder, *words).stdout)["inputs"]
    assert (inputs["ratio_mg_per_u"], inputs["target_mg_dl"]) == (10_000, 110)
    # A typed amount on board is all of it: no part of the pump's own beside it.
    assert (inputs["bolus_iob_uu"], inputs["basal_iob_uu"]) == (400_000, 0)


@pytest.mark.parametrize(
    ("ratios", "on_board", "told"),
    [
        ({}, IOB, "--ratio, --sensitivity and --target are missing and the pump has no value"),
        (RATIOS, None, "--iob is missing and the pump has no value"),
        (RATIOS, {"bolus": 1.5, "basal": 0}, "--iob is missing and the pump has no value"),
        (RATIOS, {"bolus": 5}, "--iob is missing and the pump has no value"),
        (RATIOS | {"target_mg_dl": None}, IOB, "--target is missing and the pump has no value"),
    ],
)
def test_what_the_pump_does_not_say_is_named_and_nothing_is_assumed(
    demo: tuple[Path, Server],
    pump: ScriptedPump,
    ratios: dict[str, Any],
    on_board: object,
    told: str,
) -> None:
    folder, server = demo
    pump.script["basal.show"] = profile(**ratios)
    server.publish(snapshot(iob_uu=on_board))
    result = calc(folder, "--carbs", "30")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"pumpctl: refused: {told}\n"


def test_with_everything_typed_the_pump_is_not_asked(
    demo: tuple[Path, Server], pump: ScriptedPump
) -> None:
    words = ("--carbs", "30", "--ratio", "10", "--sensitivity", "40", "--target", "100")
    assert calc(demo[0], *words, "--iob", "0").exit_code == 0
    assert pump.seen == []
