"""The gate that ties requirements to tests sees what is missing, what failed, what is unknown."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = tomllib.loads((ROOT / "docs" / "safety.toml").read_text())
TOOL = ROOT / "tools" / "safety_case.py"
DUE = [
    number
    for kind in ("requirements", "faults")
    for number, one in DATA[kind].items()
    if one["due"] == "now"
]


def name(number: str) -> str:
    return f"test_{number.lower().replace('-', '_')}_holds"


def junit(path: Path, bodies: dict[str, str]) -> Path:
    cases = [
        f'<testcase classname="tests.unit.test_x" name="{case}">{body}</testcase>'
        for case, body in bodies.items()
    ]
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return path


def judged(tmp_path: Path, change: dict[str, str | None], *words: str) -> tuple[int, str]:
    """Judge results in which every due id passed, but for the changes."""
    bodies: dict[str, str] = {name(number): "" for number in DUE}
    for case, body in change.items():
        if body is None:
            del bodies[case]
        else:
            bodies[case] = body
    said = subprocess.run(
        [sys.executable, str(TOOL), *words, str(junit(tmp_path / "results.xml", bodies))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stderr == ""
    return said.returncode, said.stdout


def test_the_fifteen_hazards_come_first_and_each_has_a_requirement() -> None:
    assert list(DATA["hazards"]) == [f"H{n:02d}" for n in range(1, 16)]
    assert list(DATA["requirements"]) == [f"SR-{n:02d}" for n in range(1, 69)]
    assert list(DATA["faults"]) == [f"F{n:02d}" for n in range(1, 71)]


def test_where_every_due_id_has_a_test_that_passed_all_is_well(tmp_path: Path) -> None:
    status, said = judged(tmp_path, {})
    assert (status, said) == (
        0,
        f"{len(DUE)} requirements and faults are due, and {len(DUE)} are proved.\n",
    )


def test_a_due_requirement_without_a_test_fails_the_gate(tmp_path: Path) -> None:
    status, said = judged(tmp_path, {name("SR-23"): None})
    assert status == 1
    assert "SR-23 is due and no test of it passed" in said


def test_one_failed_case_of_a_test_fails_the_gate(tmp_path: Path) -> None:
    change: dict[str, str | None] = {f"{name('F17')}[full]": "<failure/>"}
    status, said = judged(tmp_path, change)
    assert status == 1
    assert "F17: tests/unit/test_x.py::test_f17_holds failed" in said


def test_an_id_that_nobody_wrote_down_fails_the_gate(tmp_path: Path) -> None:
    status, said = judged(tmp_path, {"test_sr_99_is_a_slip_of_the_finger": ""})
    assert status == 1
    assert "SR-99" in said


def test_what_could_not_run_here_fails_the_full_gate_alone(tmp_path: Path) -> None:
    change: dict[str, str | None] = {name("F18"): "<skipped/>"}
    status, said = judged(tmp_path, change)
    assert status == 0
    assert "NOT RUN: F18 is due" in said
    assert judged(tmp_path, change, "--fail-not-run")[0] == 1


def test_the_document_names_hazard_requirement_test_and_result(tmp_path: Path) -> None:
    page = tmp_path / "safety-case.md"
    judged(tmp_path, {name("SR-38"): "<failure/>"}, "--write", str(page), "--stamp", "Of today:")
    text = page.read_text()
    assert "### H01. " in text
    assert "Of today:" in text
    assert "| [SR-37](#sr-37) | One request moves the syringe once at most | proved |" in text
    assert "- `tests/unit/test_x.py::test_sr_38_holds`: FAILED" in text
