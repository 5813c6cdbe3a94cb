"""The rooms of the design, and the doors between them."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]

ROOMS = [
    *("appliance/" + room for room in ("adapters", "cli", "cli/offline", "client", "domain")),
    *("appliance/" + room for room in ("engine", "guard", "keeper", "simulate", "stepper")),
    *("appliance/verify", "drivers", "drivers/mock", "ui", "ui/presenters", "ui/screens"),
]
COMPOSITION_ROOTS = {"appliance.pumpd", "appliance.simulate"}  # they put the others together


def test_every_room_of_the_design_is_a_package_that_says_what_it_is_for() -> None:
    silent = [room for room in ROOMS if not (ROOT / room / "__init__.py").read_text().strip()]
    assert silent == []


def test_every_room_has_a_contract_but_those_that_put_the_others_together() -> None:
    held = {source for contract in CONTRACTS for source in contract["source_modules"]}
    modules = {path.stem for path in (ROOT / "appliance").glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "appliance").glob("*/__init__.py")}
    rooms = {f"appliance.{name}" for name in modules | packages}
    assert rooms - held == COMPOSITION_ROOTS & rooms


def test_no_file_under_tests_makes_a_package_that_would_shadow_a_room() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_base_lock_is_a_part_of_the_test_lock() -> None:
    base, test = (
        set(re.findall(r"^[a-z].*==\S+", (ROOT / f"requirements/{name}.txt").read_text(), re.M))
        for name in ("base", "test")
    )
    assert base
    assert base - test == set()


def test_every_locked_package_has_hashes_and_no_lock_names_where_it_came_from() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        text = lock.read_text()
        packages = re.split(r"^(?=[a-z])", text, flags=re.M)[1:]
        assert [p.split()[0] for p in packages if "--hash=sha256:" not in p] == []
        assert re.findall(r"://|--(?:extra-)?index-url|--find-links", text) == []


BREACHES = {  # contract -> the module that breaks it, and how
    "domain": ("appliance/domain/planted.py", "import threading"),
    "errors": ("appliance/errors.py", "import appliance.ports"),
    "shared": ("appliance/ports.py", "import appliance.engine"),
    "engine": ("appliance/engine/planted.py", "import appliance.adapters"),
    "stepper": ("appliance/stepper/planted.py", "import appliance.domain.units"),
    "guard": ("appliance/guard/planted.py", "import appliance.domain.mechanics"),
    "adapters": ("appliance/adapters/planted.py", "import appliance.engine"),
    "client": ("appliance/client/planted.py", "import appliance.ports"),
    "keeper": ("appliance/keeper/planted.py", "import appliance.engine"),
    "verify": ("appliance/verify/planted.py", "import appliance.domain.units"),
    "faces": ("ui/planted.py", "import appliance.domain.units"),
    "drivers": ("drivers/planted.py", "import appliance.domain.units"),
    "demo": ("appliance/demo.py", "import appliance.engine"),
    "presenters": ("ui/presenters/planted.py", "import kivy"),
    "bench": ("appliance/keeper/planted_bench.py", "import drivers.mock"),
    "gpiozero": ("appliance/keeper/planted_gpio.py", "import gpiozero"),
    "apscheduler": ("appliance/engine/planted_jobs.py", "import apscheduler"),
    "sqlite_utils": ("appliance/engine/planted_rows.py", "import sqlite_utils"),
    "kivy": ("appliance/keeper/planted_screen.py", "import kivy"),
}


def test_every_import_contract_breaks_on_a_planted_breach(tmp_path: Path) -> None:
    pytest.importorskip("importlinter", reason="NOT RUN: needs import-linter, of the extra dev")
    for root_package in PROJECT["tool"]["importlinter"]["root_packages"]:
        shutil.copytree(ROOT / root_package, tmp_path / root_package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    breaches = [BREACHES[contract["id"]] for contract in CONTRACTS]
    for planted, line in breaches:
        with (tmp_path / planted).open("a") as module:
            module.write(f"\n{line}\n")

    lint = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    said = subprocess.run([*lint, "--no-cache"], cwd=tmp_path, capture_output=True, text=True)

    assert said.returncode == 1, said.stdout
    assert f"Contracts: 0 kept, {len(CONTRACTS)} broken." in said.stdout
    for planted, line in breaches:
        breach = f"{planted.removesuffix('.py').replace('/', '.')} -> {line.split()[1]} (l."
        assert breach in said.stdout


def test_every_test_that_the_documents_name_is_there() -> None:
    """A promise that names what shows it must not outlive it."""
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/features.md").read_text()))
    assert len(named) > 30
    assert named - there == set()
