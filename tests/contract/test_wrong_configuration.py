"""A configuration that is wrong: every program refuses it with every fault, and nothing starts."""

import subprocess
import sys
from pathlib import Path

import pytest
from demo_harness import RunningDemo

PUMPCTL = [sys.executable, "-P", "-m", "appliance.cli"]


def pumpctl(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*PUMPCTL, "--dir", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


WRONG = {
    "a syringe out of range and a key that nobody knows": (
        lambda text: text.replace("bore_um = 8660", "bore_um = 86600\ncolour = 1"),
        ["mechanics.bore_um = 86600", "1000", "40000", "mechanics.colour"],
    ),
    "one pin for two lines, and a factory that does not exist": (
        lambda text: text.replace("direction = 27", "direction = 17").replace(
            'factory = "bench"', 'factory = "mock"'
        ),
        ["pins.factory = 'mock'", "pins.direction = 17 is the pin of pins.step"],
    ),
    "a section that is missing, and a lease that is text": (
        lambda text: text.replace("[ceilings]", "[roof]").replace(
            "lease_uu = 50_000", 'lease_uu = "0.05 U"'
        ),
        ["ceilings is missing", "roof", "safety.lease_uu"],
    ),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_sr_66_a_wrong_configuration_starts_nothing_and_lists_every_fault(
    tmp_path: Path, what: str
) -> None:
    edit, expected = WRONG[what]
    folder = tmp_path / "D"
    good = RunningDemo(folder, speed=1, edit=edit)
    path = folder / "benchpump.toml"
    words = [sys.executable, "-P", "-m", "appliance.pumpd", f"--config={path}"]
    words.append(f"--runtime={good.places.runtime}")
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert good.process is None
    seen = pumpctl(folder, "status")
    assert seen.returncode == 3
    checked = pumpctl(folder, "check-config", str(path))
    assert checked.returncode == 1
    for text in expected:
        assert text in done.stderr, what
        assert text in seen.stdout + seen.stderr
        assert text in checked.stdout + checked.stderr
    guard = [sys.executable, "-P", "-m", "appliance.guard", f"--config={path}"]
    refused = subprocess.run(guard, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 2
    assert expected[0] in refused.stderr
