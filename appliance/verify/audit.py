"""Goes through a finished ledger by brute force, beside the log of every step that moved.

Nothing here is clever, and nothing is shared with what it judges: every window is summed by going
over all of it, every dose is looked up again, and the rate that the schedule asks for is worked out
anew from the rows that set it. It takes a run of virtual time, where the truth is known:

- no window of 60 min or 24 h, wherever it begins, holds more than the limits in force allow: by
  the steps that moved, and by the most that the ledger says may have moved (SR-14);
- no bolus over the largest, none too soon after another, no rate over the basal limit (SR-13,
  SR-15); no two steps closer than the motor may go (SR-23);
- at every step the ledger's bounds held: no more had moved than was leased, no less than was
  confirmed (SR-35, SR-36); no dose has more than was programmed, and each has one end (SR-37);
- every block of basal has the rate that the profile and the temporary basal ask for at that local
  time, over changes of summer time, journeys and clocks that are set.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

_S = 1_000_000_000
_HOUR = 3_600 * _S
_DAY = 24 * _HOUR
_WINDOWS = (("hourly_uu", "60 min", _HOUR), ("daily_uu", "24 h", _DAY))
_SET = ("prime", "cannula", "rewind")
_DOSE, _REWIND = 1, 3
_SHORTEST_S, _LONGEST_S = 900, 28_800
_AHEAD_NS = 6 * _S  # a block of basal is written so long before it begins
_MOST = 20


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened, on one clock that never jumps.

    ``forward_ns`` are the instants of all steps forward that the enabled motor was given, in
    order, and ``reverse_ns`` of those back; ``row_ns[n]`` is when row ``n`` + 1 became durable.
    """

    forward_ns: Sequence[int]
    reverse_ns: Sequence[int]
    row_ns: Sequence[int]
    ratio_uu: int
    ratio_steps: int
    quantum_steps: int
    min_interval_ns: int


@dataclass(slots=True)
class Audit:
    """What was found. ``worst_uu`` and ``limit_uu`` are by window: the fullest one of steps that
    moved, and ``ledger_uu`` the fullest one by the ledger's maximum.
    """

    faults: list[str] = field(default_factory=list)
    worst_uu: dict[str, int] = field(default_factory=dict)
    ledger_uu: dict[str, int] = field(default_factory=dict)
    limit_uu: dict[str, int] = field(default_factory=dict)
    doses: dict[str, int] = field(default_factory=dict)
    uncertain: int = 0
    shortest_interval_s: float | None = None
    largest_bolus_uu: int = 0
    basal_blocks_checked: int = 0
    windows_tried: int = 0


@dataclass(slots=True)
class _Row:
    seq: int
    kind: str
    at_ns: int
    utc_ns: int
    mono_ns: int
    boot: str
    offset_s: int
    body: dict[str, Any]


def audit(path: Path, truth: Truth) -> Audit:
    """Judge the ledger at ``path``, which nobody is writing any more, by ``truth``."""
    auditor = _Auditor(_read(path, truth.row_ns), truth)
    for check in (
        auditor.limits_in_force,
        auditor.windows,
        auditor.spacing,
        auditor.bounds,
        auditor.single_doses,
        auditor.basal,
    ):
        check()
    return auditor.found


def _read(path: Path, row_ns: Sequence[int]) -> list[_Row]:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    rows = []
    with closing(sqlite3.connect(uri, uri=True)) as db:
        for seq, text in db.execute("SELECT seq, text FROM entries ORDER BY seq"):
            raw = json.loads(text)
            rows.append(
                _Row(
                    seq,
                    raw["kind"],
                    row_ns[seq - 1],
                    raw["utc_ns"],
                    raw["mono_ns"],
                    raw["boot"],
                    raw["offset_s"],
                    {} if raw["kind"] == "checkpoint" else raw["body"],
                )
            )
    return rows


class _Auditor:
    def __init__(self, rows: list[_Row], truth: Truth) -> None:
        self._rows = rows
        self._truth = truth
        self._limits: list[tuple[int, dict[str, int]]] = []
        self._starts: dict[str, _Row] = {}
        self._ends: dict[str, _Row] = {}
        self.found = Audit()
        for row in rows:
            if row.kind == "intent":
                self._starts[row.body["request_id"]] = row
            elif row.kind == "closed":
                self._ends[row.body["request_id"]] = row
        self._ends_ns = sorted(end.at_ns for end in self._ends.values())
        self._end_seqs = sorted(end.seq for end in self._ends.values())
        self._start_seqs = sorted(start.seq for start in self._starts.values())

    def _fault(self, text: str) -> None:
        if len(self.found.faults) < _MOST:
            self.found.faults.append(text)

    # ------------------------------------------------------------------ limits and windows

    def limits_in_force(self) -> None:
        """Find which limits were in force from when on."""
        for row in self._rows:
            if row.kind == "setting" and row.body["name"] == "limits":
                self._limits.append((row.at_ns, row.body["new"]))
        if self._limits:
            self.found.limit_uu = {name: self._limits[-1][1][name] for name, _, _ in _WINDOWS}

    def _limit(self, name: str, from_ns: int, to_ns: int) -> int:
        """Return the widest that was in force at any instant of a stretch; 0 where none was."""
        widest = 0
        for at, (since_ns, limits) in enumerate(self._limits):
            until_ns = self._limits[at + 1][0] if at + 1 < len(self._limits) else to_ns + 1
            if since_ns <= to_ns and until_ns > from_ns:
                widest = max(widest, limits[name])
        return widest

    def windows(self) -> None:
        """Try every window that ends at a step, and every one that ends at a row of the ledger."""
        truth = self._truth
        given_ns = self._given()
        for name, words, span_ns in _WINDOWS:
            worst, first = 0, 0
            fullest_ns = 0
            for last, at_ns in enumerate(given_ns):
                while given_ns[first] < at_ns - span_ns:
                    first += 1
                steps = last - first + 1
                if steps > worst:
                    worst, fullest_ns = steps, at_ns
            self.found.windows_tried += len(given_ns)
            self.found.worst_uu[name] = worst * truth.ratio_uu // truth.ratio_steps
            if len(self._limits) == 1:
                limit_uu = self._limit(name, fullest_ns - span_ns, fullest_ns)
                if worst * truth.ratio_uu > limit_uu * truth.ratio_steps:
                    self._fault(
                        f"SR-14: {self.found.worst_uu[name]} uu moved within {words} up to "
                        f"{_clock(fullest_ns)}, over {limit_uu}"
                    )
            else:
                self._windows_under_changing_limits(given_ns, name, words, span_ns)
            self._ledger_windows(name, words, span_ns)

    def _windows_under_changing_limits(
        self, given_ns: Sequence[int], name: str, words: str, span_ns: int
    ) -> None:
        truth, first = self._truth, 0
        for last, at_ns in enumerate(given_ns):
            while given_ns[first] < at_ns - span_ns:
                first += 1
            limit_uu = self._limit(name, at_ns - span_ns, at_ns)
            if (last - first + 1) * truth.ratio_uu > limit_uu * truth.ratio_steps:
                self._fault(f"SR-14: over {limit_uu} uu within {words} up to {_clock(at_ns)}")
                return

    def _given(self) -> Sequence[int]:
        """Return the instants of the steps of doses: what a set was primed with is none."""
        truth = self._truth
        spans = [
            (start.at_ns, self._ends[key].at_ns if key in self._ends else 1 << 62)
            for key, start in self._starts.items()
            if start.body["dose"] in _SET
        ]
        if not spans:
            return truth.forward_ns
        kept: list[int] = []
        done = 0
        for from_ns, to_ns in sorted(spans):
            first = bisect_left(truth.forward_ns, from_ns)
            kept += truth.forward_ns[done:first]
            done = max(done, bisect_right(truth.forward_ns, to_ns))
        kept += truth.forward_ns[done:]
        return kept

    def _ledger_windows(self, name: str, words: str, span_ns: int) -> None:
        """Add up, at each lease, what was counted within the window and all that is leased."""
        truth = self._truth
        counted: list[tuple[int, int]] = []
        open_steps: dict[int, tuple[int, int]] = {}
        first = within = 0
        worst = 0
        for row in self._rows:
            if row.kind == "lease":
                open_steps[row.body["number"]] = (row.body["motion"], row.body["steps"])
                if row.body["motion"] != _DOSE:
                    continue
            elif row.kind == "count":
                motion, _ = open_steps.pop(row.body["lease"])
                if motion == _DOSE:
                    counted.append((row.at_ns, row.body["maximum_steps"]))
                    within += row.body["maximum_steps"]
                continue
            else:
                continue
            while first < len(counted) and counted[first][0] < row.at_ns - span_ns:
                within -= counted[first][1]
                first += 1
            steps = within + sum(n for motion, n in open_steps.values() if motion == _DOSE)
            worst = max(worst, steps)
            limit_uu = self._limit(name, row.at_ns - span_ns, row.at_ns)
            if steps * truth.ratio_uu > limit_uu * truth.ratio_steps:
                uu = steps * truth.ratio_uu // truth.ratio_steps
                self._fault(
                    f"SR-14: row {row.seq} leases up to {uu} uu within {words}, over {limit_uu}"
                )
                break
        self.found.ledger_uu[name] = worst * truth.ratio_uu // truth.ratio_steps

    # ------------------------------------------------------------------ steps

    def spacing(self) -> None:
        """Look at the time between each two steps."""
        for way in (self._truth.forward_ns, self._truth.reverse_ns):
            least_ns, last_ns = self._truth.min_interval_ns, None
            for at_ns in way:
                if last_ns is not None and at_ns - last_ns < least_ns:
                    self._fault(f"SR-23: two steps {at_ns - last_ns} ns apart at {_clock(at_ns)}")
                    break
                last_ns = at_ns

    def bounds(self) -> None:
        """Compare what had moved with what the ledger allowed, between each two of its rows."""
        for back, moved_ns in ((False, self._truth.forward_ns), (True, self._truth.reverse_ns)):
            ways = {False: "forward", True: "back"}
            leases: dict[int, tuple[bool, int]] = {}
            confirmed = maximum = 0
            for at, row in enumerate(self._rows):
                body = row.body
                if row.kind == "lease":
                    leases[body["number"]] = (body["motion"] == _REWIND, body["steps"])
                    if leases[body["number"]][0] is back:
                        maximum += body["steps"]
                elif row.kind == "count":
                    is_back, steps = leases.pop(body["lease"])
                    if is_back is not back:
                        continue
                    confirmed += body["confirmed_steps"]
                    maximum += body["maximum_steps"] - steps
                else:
                    continue
                so_far = bisect_right(moved_ns, row.at_ns)
                if confirmed > so_far:
                    self._fault(
                        f"SR-36: row {row.seq}: {confirmed} confirmed {ways[back]}, "
                        f"{so_far} had moved"
                    )
                    break
                next_ns = self._rows[at + 1].at_ns if at + 1 < len(self._rows) else 1 << 62
                until_next = bisect_left(moved_ns, next_ns)
                if until_next > maximum:
                    self._fault(
                        f"SR-36: row {row.seq}: {until_next} had moved {ways[back]}, "
                        f"at most {maximum} could have"
                    )
                    break

    # ------------------------------------------------------------------ doses

    def single_doses(self) -> None:
        """Look at each dose: its size, its interval, its parts, its one end and what it gave."""
        last_ns: int | None = None
        parts: dict[str, int] = {}
        for key, start in self._starts.items():
            body, end = start.body, self._ends.get(key)
            kind = body["dose"]
            self.found.doses[kind] = self.found.doses.get(kind, 0) + 1
            if end is None:
                self._fault(f"SR-37: {kind} {key} has no end")
                continue
            self._given_of(key, start, end)
            if kind not in ("bolus", "extended"):
                continue
            whole = body["part_of"] or key
            parts[whole] = parts.get(whole, 0) + body["programmed_uu"]
            if kind == "extended" and not _SHORTEST_S <= body["duration_s"] <= _LONGEST_S:
                self._fault(f"extended {key} takes {body['duration_s']} s")
            if body["part_of"]:
                continue
            most_uu = self._limit("max_bolus_uu", start.at_ns, start.at_ns)
            self.found.largest_bolus_uu = max(self.found.largest_bolus_uu, body["whole_uu"])
            if body["whole_uu"] > most_uu:
                self._fault(f"SR-13: bolus {key} of {body['whole_uu']} uu, over {most_uu}")
            if last_ns is not None:
                since_ns = start.at_ns - last_ns
                least_s = self._limit("min_interval_s", start.at_ns, start.at_ns)
                shortest_s = self.found.shortest_interval_s
                since_s = since_ns / _S
                self.found.shortest_interval_s = (
                    since_s if shortest_s is None else min(shortest_s, since_s)
                )
                if since_ns < least_s * _S:
                    self._fault(f"SR-15: bolus {key} came {since_s:.3f} s after another")
            last_ns = start.at_ns
        moved = len(self._truth.forward_ns) + len(self._truth.reverse_ns)
        low = sum(end.body["confirmed_steps"] for end in self._ends.values())
        high = sum(end.body["maximum_steps"] for end in self._ends.values())
        if not low <= moved <= high:
            self._fault(f"SR-36: all doses together are {low} to {high} steps, and {moved} moved")
        for key, sum_uu in parts.items():
            if sum_uu != self._starts[key].body["whole_uu"]:
                self._fault(f"SR-05: the parts of {key} are {sum_uu} uu")

    def _given_of(self, key: str, start: _Row, end: _Row) -> None:
        truth, body = self._truth, end.body
        confirmed, maximum = body["confirmed_steps"], body["maximum_steps"]
        if body["certainty"] != "exact":
            self.found.uncertain += 1
        elif confirmed != maximum:
            self._fault(f"SR-36: {key} is exact, with {confirmed} and {maximum} steps")
        if confirmed > maximum:
            self._fault(f"SR-36: {key}: {confirmed} confirmed, at most {maximum}")
        if end.at_ns < start.at_ns or end.seq < start.seq:
            self._fault(f"SR-37: {key} ends before it begins")
        programmed = start.body["programmed_steps"]
        if programmed is not None:
            if maximum > programmed + (body["certainty"] != "exact"):
                self._fault(f"SR-19: {key} gave up to {maximum} of {programmed} steps")
            by_amount = start.body["programmed_uu"] * truth.ratio_steps // truth.ratio_uu
            most = by_amount + self._left_before(start) * truth.quantum_steps
            if programmed > most:
                self._fault(f"SR-18: {key} is {programmed} steps, its amount {by_amount}")
            done = body["outcome"] == "done" and start.body["dose"] != "rewind"
            if done and confirmed != programmed:
                self._fault(f"SR-19: {key} is done with {confirmed} of {programmed} steps")
        else:
            span_ns = end.at_ns - start.at_ns
            asked = start.body["rate_uu_per_h"] * truth.ratio_steps * span_ns
            # The carry it takes over and what each dose beside it leaves are less than a step each.
            # Beside another dose the maximum of one that a crash cut holds what may be of either.
            gave = maximum if body["certainty"] == "exact" else confirmed
            ends_ns = self._ends_ns
            beside = bisect_right(ends_ns, end.at_ns) - bisect_left(ends_ns, start.at_ns)
            if gave > asked // (truth.ratio_uu * _HOUR) + 1 + (1 + beside) * truth.quantum_steps:
                self._fault(f"SR-23: {key} gave {gave} steps in {span_ns // _S} s")

    def _left_before(self, start: _Row) -> int:
        """Return how many steps a dose may have beyond its amount: the carry that it takes over.

        The dose planned last took all there was, and left less than a step. Each that has ended
        since has given back less than a step of its own: doses beside each other leave more than
        one step together.
        """
        at = bisect_left(self._start_seqs, start.seq)
        last = self._start_seqs[at - 1] if at else 0
        ended = bisect_left(self._end_seqs, start.seq) - bisect_left(self._end_seqs, last)
        return max(1, ended)

    # ------------------------------------------------------------------ basal by the clock

    def basal(self) -> None:
        """Work out the rate for each block of basal by local time, and compare."""
        profiles: dict[str, list[dict[str, int]]] = {}
        active = ""
        temp: dict[str, Any] | None = None
        for row in self._rows:
            body = row.body
            if row.kind == "setting":
                name = body["name"]
                if name.startswith("basal.profile."):
                    profiles[name.removeprefix("basal.profile.")] = body["new"]
                elif name == "basal.active":
                    active = body["new"]
            elif row.kind == "temp":
                temp = None if body["event"] == "ended" else {**body, "boot": row.boot}
            elif row.kind == "intent" and body["dose"] == "basal":
                most = self._limit("max_basal_uu_per_h", row.at_ns, row.at_ns)
                rate = body["rate_uu_per_h"]
                if rate > most:
                    self._fault(f"basal {body['request_id']}: {rate} uu/h, over {most}")
                allowed = {
                    _rate(profiles[active], temp, row, ahead_ns, most)
                    for ahead_ns in (0, _AHEAD_NS)
                }
                self.found.basal_blocks_checked += 1
                if rate not in allowed:
                    self._fault(
                        f"basal {body['request_id']} at {_clock(row.at_ns)} has {rate} uu/h, "
                        f"and {sorted(allowed)} is asked for"
                    )


def _rate(
    profile: list[dict[str, int]],
    temp: dict[str, Any] | None,
    row: _Row,
    ahead_ns: int,
    most_uu_per_h: int,
) -> int:
    """Return what is asked for ``ahead_ns`` after a row was written, by the clocks it names."""
    of_day_ns = (row.utc_ns + row.offset_s * _S + ahead_ns) % _DAY
    rate = 0
    for segment in profile:
        if segment["start_min_of_day"] * 60 * _S <= of_day_ns:
            rate = segment["rate_uu_per_h"]
    if temp is None or row.mono_ns + ahead_ns >= temp["until_mono_ns"] or temp["boot"] != row.boot:
        return rate
    wanted = rate * temp["value"] // 100 if temp["temp"] == "percent" else temp["value"]
    return min(int(wanted), most_uu_per_h)


def _clock(at_ns: int) -> str:
    return f"{at_ns / _S:.3f} s"
