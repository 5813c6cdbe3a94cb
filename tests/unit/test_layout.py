"""The rooms of the design, and the doors between them."""

import re
import tomllib
from pathlib import Path

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
