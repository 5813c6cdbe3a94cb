"""The protocols in Promela (docs/model): what must hold does, and what must fail fails.

A model in which a broken variant passes is itself wrong, so each variant leaves out one rule and
has to break the property that the rule is for.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "docs" / "model"
DEPTH = 10_000
TRIPS = ["a_trip_is_latched", "doubt_is_two_leases_at_most", "silence_ends_enable"]
SOUNDS = ["a_new_alarm_is_heard", "a_pause_ends", "a_trip_without_pumpd_is_heard"]
BOARD = ["a_cause_is_listed", "it_is_shown_though_the_disk_stands"]

HOLDS = [
    ("dose", "", "never_more_than_the_dose"),
    ("dose", "", "the_truth_is_within_the_bounds"),
    ("dose", "FORGETS_ID", "the_truth_is_within_the_bounds"),
    ("dose", "STEPS_FIRST", "never_more_than_the_dose"),
    *(("lease", "", name) for name in TRIPS),
    *(("alarm", words, name) for words in ("", "EVENT") for name in BOARD),
    *(("sound", "", name) for name in SOUNDS),
]
FAILS = [
    ("dose", "FORGETS_ID", "never_more_than_the_dose", "moved<=3"),
    ("dose", "STEPS_FIRST", "the_truth_is_within_the_bounds", "low<=moved"),
    ("dose", "RESUMES", "never_more_than_the_dose", "moved<=3"),
    ("dose", "RESUMES", "the_truth_is_within_the_bounds", "low<=moved"),
    ("lease", "GIVES_AT_ONCE", TRIPS[0], "issued<=leased"),
    ("lease", "SKIPS_GUARD", TRIPS[0], "issued<=known"),
    ("lease", "DEAF", TRIPS[0], "stale==0"),
    ("lease", "EAGER", TRIPS[1], "leased-counted"),
    ("lease", "FORGIVES", TRIPS[0], "unacknowledged&&enable"),
    ("lease", "REARMS", TRIPS[0], "unacknowledged&&enable"),
    ("lease", "TRUSTS", TRIPS[2], "acceptance cycle"),
    ("alarm", "FORGETS", BOARD[0], "acked&& !(current)"),
    ("alarm", "HIDES", BOARD[0], "cause&&heard"),
    ("alarm", "RINGS_ON", BOARD[0], "there&&current)&&acked"),
    ("alarm", "EVENT SWALLOWS", BOARD[0], "rising|| !(acking)"),
    ("alarm", "WAITS", BOARD[1], "acceptance cycle"),
    ("sound", "HUSHES", SOUNDS[0], "unheard"),
    ("sound", "OBEYS", SOUNDS[0], "unheard"),
    ("sound", "FROZEN", SOUNDS[0], "unheard"),
    ("sound", "ENDLESS", SOUNDS[1], "acceptance cycle"),
]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Return what makes the checker of one variant, once for all of its properties."""

    @functools.cache
    def built(model: str, words: str) -> Path:
        for tool, package in (("spin", "spin"), ("gcc", "gcc libc6-dev")):
            if shutil.which(tool) is None:
                pytest.skip(f"NOT RUN: {tool} is missing: apt-get install {package}")
        folder = tmp_path_factory.mktemp(model)
        flags = [f"-D{word}" for word in words.split()]
        run(folder, "spin", "-a", *flags, str(MODELS / f"{model}.pml"))
        run(folder, "gcc", "-w", "-o", "pan", "pan.c")
        return folder

    return built


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checked(folder: Path, name: str) -> str:
    """Check one property exhaustively; return what the checker says."""
    text = run(folder, "./pan", "-a", "-f", f"-m{DEPTH}", "-N", name)
    assert f"ltl formula {name}" in text, text
    assert "max search depth too small" not in text
    assert "out of memory" not in text
    return text


@pytest.mark.parametrize(("model", "words", "name"), HOLDS)
def test_sr_34_sr_37_sr_38_sr_51_what_the_model_must_keep_it_keeps(
    build: Callable[[str, str], Path], model: str, words: str, name: str
) -> None:
    text = checked(build(model, words), name)
    assert "errors: 0" in text, text


@pytest.mark.parametrize(("model", "words", "name", "breaks"), FAILS)
def test_sr_34_sr_37_sr_38_sr_51_a_variant_without_one_of_the_rules_breaks_what_it_is_for(
    build: Callable[[str, str], Path], model: str, words: str, name: str, breaks: str
) -> None:
    text = checked(build(model, words), name)
    assert "errors: 1" in text, text
    assert breaks in text, text


def test_every_rule_of_a_model_has_a_variant_that_is_tried() -> None:
    tried = {(model, word) for model, words, _, _ in FAILS for word in words.split()}
    for path in MODELS.glob("*.pml"):
        lines = path.read_text().splitlines()
        told = [line.split()[1].removeprefix("-D") for line in lines if line.startswith(" *   -D")]
        assert told, f"{path.name} names its variants"
        assert {(path.stem, word) for word in told} <= tried, os.fspath(path)
