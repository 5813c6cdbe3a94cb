"""One row of the table: what was measured, beside what, and whether that reaches the goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """``met`` is None where the row could not be run; ``note`` then says why, and what to do."""

    row: str
    what: str
    ours: str
    baseline: str
    floor: str
    ratio: str
    goal: str
    met: bool | None
    note: str = ""

    @property
    def word(self) -> str:
        return "NOT RUN" if self.met is None else "met" if self.met else "MISSED"


def not_run(row: str, what: str, goal: str, note: str) -> Result:
    """Return a row that could not be run."""
    return Result(row, what, "", "", "", "", goal, None, note)


def percentile(samples: Sequence[int], share: float) -> int:
    """Return the sample below which ``share`` of them lie: 0.99 is p99."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def us(ns: float) -> str:
    """Write nanoseconds as microseconds, or as milliseconds where there are many."""
    return f"{ns / 1e6:,.1f} ms" if ns >= 10_000_000 else f"{ns / 1e3:,.1f} us"


_HEADS = ("row", "what", "ours", "baseline", "limit", "ratio", "goal", "")


def table(results: Sequence[Result]) -> str:
    """Return the rows as a plain table, with their notes below."""
    lines = [_HEADS] + [
        (one.row, one.what, one.ours, one.baseline, one.floor, one.ratio, one.goal, one.word)
        for one in results
    ]
    widths = [max(len(line[at]) for line in lines) for at in range(len(_HEADS))]
    text = [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(text + [f"{one.row}: {one.note}" for one in results if one.note])


def markdown(results: Sequence[Result]) -> str:
    """Return the rows as docs/performance.md shows them."""
    lines = ["| row | what | ours | baseline | limit | ratio | goal | |", "|" + "---|" * 8]
    lines += [
        f"| `{one.row}` | {one.what} | {one.ours} | {one.baseline} | {one.floor} | {one.ratio}"
        f" | {one.goal} | {one.word} |"
        for one in results
    ]
    notes = [f"- `{one.row}`: {one.note}" for one in results if one.note]
    return "\n".join([*lines, "", *notes])
