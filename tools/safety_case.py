"""The safety case: hazard -> requirement -> test -> result, from the names and results of tests.

    tools/safety_case.py [--write FILE] [--stamp TEXT] [--fail-not-run] JUNIT.XML...

Reads docs/safety.toml and what pytest wrote (--junitxml). Fails where a requirement or fault that
is due has no test in these results that passed, or has one that failed. Ids stand in tests' names:
test_sr_23_..., test_f17_....
"""

import argparse
import re
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "safety.toml"
_ID = re.compile(r"(?:^|_)(sr|f)_?([0-9]{2})(?=_|$)")
_NOT_RUN = "NOT RUN: "
_DUE = ("now", "later")
_ABOUT = """\
# The safety case

Written by `tools/safety_case.py` from `docs/safety.toml`, the names of the tests and their last
results: change those, not this page. Benchpump is for the bench, with water: nothing here claims
conformity with a standard, and everything here was shown on a simulated bench, not on a Pi.
"""
_WORDS = """\
*Proved*: a test that names it passed. *Proved in part*: it is not due yet, and some test of it
passed. *Later*: it belongs to a part that does not exist yet.
"""


@dataclass(frozen=True)
class Item:
    """A requirement or a fault, and when it is due."""

    number: str
    text: str
    due: str


@dataclass
class Outcome:
    """What became of a test's cases in these results."""

    passed: int = 0
    failed: int = 0
    not_run: int = 0

    def word(self) -> str:
        if self.failed:
            return "FAILED"
        if self.not_run and not self.passed:
            return "not run"
        return "passed" if self.passed == 1 else f"passed ({self.passed} cases)"


Results = dict[str, Outcome]


def ids_in(name: str) -> list[str]:
    """Return the ids in a test's name, without its case."""
    plain = name.partition("[")[0]
    return [f"SR-{n}" if kind == "sr" else f"F{n}" for kind, n in _ID.findall(plain)]


def read_results(files: list[Path]) -> Results:
    """Return for each test, as FILE::NAME, what became of its cases."""
    results: Results = defaultdict(Outcome)
    for file in files:
        for case in ET.parse(file).iter("testcase"):  # noqa: S314
            place = case.get("classname", "").replace(".", "/")
            outcome = results[f"{place}.py::{case.get('name', '').partition('[')[0]}"]
            tags = {child.tag for child in case}
            if tags & {"failure", "error"}:
                outcome.failed += 1
            elif "skipped" in tags:
                outcome.not_run += 1
            else:
                outcome.passed += 1
    return dict(results)


def read_items(data: dict) -> dict[str, Item]:
    """Return requirements and faults by id. Raises ValueError where the data contradicts itself."""
    items = {
        number: Item(number, fields["text"], fields["due"])
        for table in ("requirements", "faults")
        for number, fields in data[table].items()
    }
    for item in items.values():
        if item.due not in _DUE:
            raise ValueError(f"{item.number}: due = {item.due!r} is none of {', '.join(_DUE)}")
    for number, hazard in data["hazards"].items():
        if unknown := [one for one in hazard["answered_by"] if one not in items]:
            raise ValueError(
                f"{number} is answered by {', '.join(unknown)}, which nobody wrote down"
            )
        if not any(one.startswith("SR-") for one in hazard["answered_by"]):
            raise ValueError(f"{number} has no requirement")
    return items


def tests_by_id(results: Results) -> dict[str, list[str]]:
    """Return the tests that name each id, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    for test in sorted(results):
        for number in dict.fromkeys(ids_in(test.rpartition("::")[2])):
            found[number].append(test)
    return found


def lacking(items: dict[str, Item], tests: dict[str, list[str]], results: Results) -> list[str]:
    """Return a sentence for each id that is due and not proved, or named and not known."""
    sentences = []
    for item in items.values():
        outcomes = [results[test] for test in tests.get(item.number, [])]
        if failed := [t for t in tests.get(item.number, []) if results[t].failed]:
            sentences.append(f"{item.number}: {failed[0]} failed")
        elif item.due != "now" or any(one.passed for one in outcomes):
            continue
        elif any(one.not_run for one in outcomes):
            sentences.append(f"{_NOT_RUN}{item.number} is due, and its tests could not run here")
        else:
            sentences.append(f"{item.number} is due and no test of it passed: {item.text}")
    sentences += [
        f"{number} stands in the name of {tests[number][0]} and not in {DATA.name}"
        for number in tests
        if number not in items
    ]
    return sentences


def state_of(item: Item, tests: list[str], results: Results) -> str:
    """Return in a word how far a requirement or fault is proved."""
    outcomes = [results[test] for test in tests]
    if any(one.failed for one in outcomes):
        return "FAILED"
    if any(one.passed for one in outcomes):
        return "proved" if item.due == "now" else "proved in part"
    return "MISSING" if item.due == "now" else "later"


def document(
    data: dict, items: dict[str, Item], tests: dict[str, list[str]], results: Results, stamp: str
) -> str:
    """Return docs/safety-case.md."""
    due = [one for one in items.values() if one.due == "now"]
    proved = [one for one in due if state_of(one, tests.get(one.number, []), results) == "proved"]
    lines = [
        _ABOUT,
        f"{stamp} {len(proved)} of the {len(due)} requirements and faults that are due are proved;"
        f" {len(items) - len(due)} belong to parts of the pump that come later.",
        "",
        _WORDS,
        "## Hazards",
        "",
    ]
    for number, hazard in data["hazards"].items():
        lines += [
            f"### {number}. {hazard['text']}",
            "",
            "| answered by | | state |",
            "|---|---|---|",
        ]
        for one in hazard["answered_by"]:
            item = items[one]
            state = state_of(item, tests.get(one, []), results)
            lines.append(f"| [{one}](#{one.lower()}) | {item.text} | {state} |")
        lines.append("")
    for title, prefix in (("Requirements", "SR-"), ("Faults", "F")):
        lines += [f"## {title}", ""]
        for item in (one for one in items.values() if one.number.startswith(prefix)):
            named = tests.get(item.number, [])
            lines += [
                f"### {item.number}",
                "",
                f"{item.text}: *{state_of(item, named, results)}*.",
                "",
            ]
            lines += [f"- `{test}`: {results[test].word()}" for test in named]
            lines += [""] if named else []
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the safety case here")
    parser.add_argument("--stamp", default="", help="a sentence on when and what was tested")
    parser.add_argument(
        "--fail-not-run", action="store_true", help="fail where a test could not run"
    )
    parser.add_argument("junit", type=Path, nargs="+", help="what pytest --junitxml wrote")
    words = parser.parse_args()
    data = tomllib.loads(DATA.read_text(encoding="utf-8"))
    items, results = read_items(data), read_results(words.junit)
    tests = tests_by_id(results)
    if words.write:
        text = document(data, items, tests, results, words.stamp)
        words.write.write_text(text, encoding="utf-8")
    sentences = lacking(items, tests, results)
    bad = [one for one in sentences if words.fail_not_run or not one.startswith(_NOT_RUN)]
    due = sum(one.due == "now" for one in items.values())
    print(*sentences, sep="\n", end="\n" if sentences else "")
    print(f"{due} requirements and faults are due, and {due - len(sentences)} are proved.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
