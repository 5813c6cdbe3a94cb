"""History, newest first: doses with their four words, their leases, and page after page."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from appliance.adapters.ledger import SqliteLedger
from appliance.errors import LedgerFault
from appliance.keeper.history import MOST_ROWS, History
from appliance.ports import Entry

ROOT = Path(__file__).parents[2]
UTC_NS = 1_763_820_309_000_000_000  # 2025-11-22 14:05:09 UTC
S = 1_000_000_000
REPLY_BYTES = 262_144


def entry(kind: str, at_s: int = 0, **body: Any) -> Entry:
    return Entry(kind, "b", at_s * S, UTC_NS + at_s * S, 3_600, "synchronised", body)


def request(number: int) -> str:
    return str(UUID(int=number, version=4))


def intent(number: int, at_s: int = 0, dose: str = "bolus", **more: Any) -> Entry:
    body = {
        "request_id": request(number),
        "dose": dose,
        "programmed_uu": 100_000,
        "programmed_steps": 54,
        "rate_uu_per_h": 90_000_000,
        "programme": number,
        "run": "r",
        "by": "uid 1000",
    }
    return entry("intent", at_s, **body | more)


def lease(number: int, steps: int = 27) -> Entry:
    return entry("lease", number=number, run="r", motion=1, direction=1, steps=steps)


def count(number: int, confirmed: int = 27, maximum: int = 27) -> Entry:
    certainty = "exact" if confirmed == maximum else "uncertain"
    steps = {"issued_steps": 27, "confirmed_steps": confirmed, "maximum_steps": maximum}
    return entry("count", lease=number, run="r", certainty=certainty, confirmed_by="count", **steps)


def closed(number: int, at_s: int = 0, **more: Any) -> Entry:
    body = {
        "request_id": request(number),
        "outcome": "done",
        "why": "",
        "programmed_uu": 100_000,
        "programmed_steps": 54,
        "issued_steps": 54,
        "confirmed_steps": 54,
        "maximum_steps": 54,
        "certainty": "exact",
        "confirmed_by": "count",
        "shift_ns": 0,
    }
    return entry("closed", at_s, **body | more)


def bolus(number: int, first_lease: int, at_s: int = 0) -> list[Entry]:
    leases = [
        lease(first_lease),
        lease(first_lease + 1),
        count(first_lease),
        count(first_lease + 1),
    ]
    return [intent(number, at_s), *leases, closed(number, at_s + 5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(path)) as open_ledger:
        yield open_ledger


@pytest.fixture
def history(path: Path, ledger: SqliteLedger) -> Iterator[History]:
    with closing(History(path)) as open_history:
        yield open_history


def test_a_finished_bolus_has_programmed_issued_confirmed_and_maximum(
    ledger: SqliteLedger, history: History
) -> None:
    ledger.append(bolus(1, 1))
    assert history.page() == {
        "rows": [
            {
                "id": request(1),
                "kind": "bolus",
                "seq": 1,
                "utc_ns": UTC_NS,
                "offset_s": 3_600,
                "clock": "synchronised",
                "local": "2025-11-22 15:05:09+01:00",
                "rate_uu_per_h": 90_000_000,
                "by": "uid 1000",
                "ended_utc_ns": UTC_NS + 5 * S,
                "programmed_uu": 100_000,
                "programmed_steps": 54,
                "issued_steps": 54,
                "confirmed_steps": 54,
                "maximum_steps": 54,
                "certainty": "exact",
                "confirmed_by": "count",
                "outcome": "done",
                "why": "",
                "shift_ns": 0,
            }
        ],
        "next_before_seq": None,
    }


def test_sr_40_an_uncertain_dose_shows_both_bounds(ledger: SqliteLedger, history: History) -> None:
    doubt = {"certainty": "uncertain", "outcome": "uncertain", "why": "pumpd was gone"}
    ledger.append([intent(1), closed(1, issued_steps=None, confirmed_steps=20, **doubt)])
    (row,) = history.page()["rows"]
    assert (row["confirmed_steps"], row["maximum_steps"], row["issued_steps"]) == (20, 54, None)
    assert (row["certainty"], row["outcome"]) == ("uncertain", "uncertain")
    assert row["why"] == "pumpd was gone"


def test_a_dose_that_runs_is_open_and_bounded_by_what_was_programmed(
    ledger: SqliteLedger, history: History
) -> None:
    ledger.append([intent(1), lease(1)])
    (row,) = history.page()["rows"]
    assert (row["certainty"], row["outcome"], row["ended_utc_ns"]) == ("open", None, None)
    assert (row["programmed_uu"], row["programmed_steps"], row["issued_steps"]) == (
        100_000,
        54,
        None,
    )
    assert (row["confirmed_steps"], row["maximum_steps"]) == (0, 54)


def test_basal_that_runs_is_bounded_by_every_lease_it_may_have_drawn_from(
    ledger: SqliteLedger, history: History
) -> None:
    open_end = {"dose": "basal", "programmed_uu": None, "programmed_steps": None}
    ledger.append([lease(1), lease(2), count(1), lease(3), intent(1, **open_end), count(2)])
    assert history.page()["rows"][0]["maximum_steps"] == 2 * 27
    for number in range(4, 9):
        ledger.append([lease(number), count(number)])
        (row,) = history.page()["rows"]
        assert (row["kind"], row["maximum_steps"]) == ("basal", (number - 1) * 27)


def test_with_steps_a_dose_lists_the_leases_of_the_motor_while_it_ran(
    ledger: SqliteLedger, history: History
) -> None:
    ledger.append([lease(1), lease(2), count(1)])  # basal's: the first is done before the bolus
    ledger.append([intent(1), lease(3), count(2), lease(4), count(3, 20, 24)])
    ledger.append([closed(1), count(4), lease(5), count(5)])
    (row,) = history.page(steps=True)["rows"]
    assert row["leases_complete"]
    seen = ("number", "steps", "issued_steps", "confirmed_steps", "maximum_steps", "certainty")
    assert [tuple(one[name] for name in seen) for one in row["leases"]] == [
        (2, 27, 27, 27, 27, "exact"),
        (3, 27, 27, 20, 24, "uncertain"),
        (4, 27, 27, 27, 27, "exact"),
    ]
    assert (
        row["leases"][1] | {"seq": 5, "utc_ns": UTC_NS, "motion": 1, "direction": 1}
        == row["leases"][1]
    )


def test_a_lease_without_a_count_is_open_and_may_have_moved_in_full(
    ledger: SqliteLedger, history: History
) -> None:
    ledger.append([intent(1), lease(1)])
    (row,) = history.page(steps=True)["rows"]
    (one,) = row["leases"]
    assert (one["confirmed_steps"], one["maximum_steps"], one["certainty"]) == (0, 27, "open")
    assert one["issued_steps"] is None


def test_what_is_no_dose_has_an_id_and_a_sentence(ledger: SqliteLedger, history: History) -> None:
    ledger.append(
        [
            entry("start", version="1.2", clean_before=False),
            entry("state", **{"from": "stopped", "to": "running", "why": "resumed"}),
            entry("setting", name="max_bolus_uu", old=10_000_000, new=5_000_000, by="uid 0"),
            entry("checkpoint", book={"x": 1}),
            entry(
                "refused",
                verb="bolus",
                request_id=request(3),
                reasons=["too much", {"text": "late"}],
            ),
            entry(
                "alarm", number=1, code="A05", priority="low", event="raised", text="low reservoir"
            ),
            entry("clock", step_ns=3 * S),
            entry("slip", programme=2, slips=1, worst_ns=60_000_000, shift_ns=60_000_000),
            entry("a_new_kind", what="ever", parts=[1, None]),
            entry("end", why="SIGTERM"),
        ]
    )
    rows = history.page()["rows"]
    assert [(row["id"], row["kind"], row["text"]) for row in reversed(rows)] == [
        ("1", "start", "pumpd 1.2 started; it had not ended cleanly"),
        ("2", "state", "stopped to running: resumed"),
        ("3", "setting", "max_bolus_uu: 10000000 to 5000000 (by uid 0)"),
        (request(3), "refused", "bolus: too much; late"),
        ("6", "alarm", "low A05 raised: low reservoir"),
        ("7", "clock", "the wall clock was set by 3000000000 ns"),
        (
            "8",
            "slip",
            "programme 2 came late 1 times, at worst by 60000000 ns; "
            "put back by 60000000 ns in all",
        ),
        ("9", "a_new_kind", "parts [1, None], what ever"),
        ("10", "end", "ended: SIGTERM"),
    ]
    assert not any("programmed_uu" in row for row in rows)


def test_basal_that_was_changed_is_told_in_sentences(
    ledger: SqliteLedger, history: History
) -> None:
    day = [
        {"start_min_of_day": 0, "rate_uu_per_h": 700_000},
        {"start_min_of_day": 390, "rate_uu_per_h": 850_000},
    ]
    percent: dict[str, Any] = {"number": 1, "temp": "percent", "value": 150}
    rate: dict[str, Any] = {"number": 2, "temp": "rate", "value": 800_000}
    told = [
        entry("setting", name="basal.profile.Day", old=None, new=day, by="uid 0"),
        entry("setting", name="basal.profile.Day", old=day, new=day[:1], by="uid 0"),
        entry("setting", name="basal.profile.Day", old=day, new=None, by="uid 0"),
        entry("temp", event="begun", duration_s=7_200, by="uid 0", notices=["held"], **percent),
        entry("temp", event="goes_on", duration_s=7_200, **percent),
        entry("temp", event="ended", why="its time is over", **percent),
        entry("temp", event="ended", why="cancelled by uid 0", **rate),
        entry("schedule", rate_uu_per_h=850_000),
    ]
    ledger.append(told)
    assert [row["text"] for row in reversed(history.page()["rows"])] == [
        "basal profile Day kept (by uid 0): 00:00 0.700 U/h, 06:30 0.850 U/h",
        "basal profile Day changed (by uid 0): 00:00 0.700 U/h",
        "basal profile Day deleted (by uid 0)",
        "temporary basal of 150 % for 120 min began (by uid 0); held",
        "temporary basal of 150 % for 120 min goes on",
        "temporary basal of 150 % ended: its time is over",
        "temporary basal of 0.800 U/h ended: cancelled by uid 0",
        "the schedule asks for 0.850 U/h from here on",
    ]


def test_the_two_parts_of_a_dual_bolus_name_each_other(
    ledger: SqliteLedger, history: History
) -> None:
    whole = {"whole_uu": 2_500_000, "extended_uu": 1_500_000, "duration_s": 7_200}
    parts = [
        intent(1, **whole, part_of="", extended_id=request(2)),
        intent(2, dose="extended", **whole, part_of=request(1), extended_id=""),
    ]
    ledger.append(parts)
    extended, now = history.page()["rows"]
    assert (now["kind"], now["extended_id"], now["whole_uu"]) == ("bolus", request(2), 2_500_000)
    assert (extended["kind"], extended["part_of"]) == ("extended", request(1))


def test_sr_46_rows_are_ordered_by_number_and_a_clock_that_jumped_hides_none(
    ledger: SqliteLedger, history: History
) -> None:
    for number, at_s in enumerate([0, 86_400, -(10**9), 10, 7_000_000_000, 20], 1):
        ledger.append([entry("note", at_s, number=number)])
    assert [row["seq"] for row in history.page()["rows"]] == [6, 5, 4, 3, 2, 1]
    recent = history.page(since_utc_ns=UTC_NS + 5 * S)
    assert [row["seq"] for row in recent["rows"]] == [6, 5, 4, 2]
    assert history.page(since_utc_ns=2**63 - 1) == {"rows": [], "next_before_seq": None}


def test_pages_follow_each_other_without_a_gap_or_a_repeat(
    ledger: SqliteLedger, history: History
) -> None:
    for number in range(1, 24):
        ledger.append([*bolus(number, 2 * number - 1), entry("note", number=number)])
    whole = history.page(limit=MOST_ROWS)
    assert whole["next_before_seq"] is None
    assert len(whole["rows"]) == 46
    for since in (None, 0):
        for steps in (False, True):
            seqs: list[int] = []
            before: int | None = None
            while before is not None or not seqs:
                page = history.page(since, before, limit=7, steps=steps)
                ledger.append([entry("note")])  # newer rows change nothing in older pages
                seqs += [row["seq"] for row in page["rows"]]
                before = page["next_before_seq"]
            assert seqs[-46:] == [row["seq"] for row in whole["rows"]]


def test_one_request_is_found_at_any_age(ledger: SqliteLedger, history: History) -> None:
    for number in range(1, 6):
        ledger.append(bolus(number, 2 * number - 1))
    page = history.page(request_id=request(2), steps=True)
    assert [row["id"] for row in page["rows"]] == [request(2)]
    assert [one["number"] for one in page["rows"][0]["leases"]] == [3, 4]
    assert history.page(request_id="no such id") == {"rows": [], "next_before_seq": None}


def test_sr_63_a_page_never_outgrows_a_reply(ledger: SqliteLedger, history: History) -> None:
    wide = "\U0001f6c8é" * 3_000
    for number in range(1, 80):
        ledger.append([intent(number, by=wide[:60]), closed(number, why=wide)])
        ledger.append([entry("note", text=wide), entry("refused", verb="bolus", reasons=[wide])])
    before, seen = None, 0
    while before is not None or not seen:
        page = history.page(before_seq=before, limit=MOST_ROWS, steps=True)
        assert len(json.dumps(page)) < REPLY_BYTES - 1_000
        assert page["rows"]
        seen += len(page["rows"])
        before = page["next_before_seq"]
    assert seen == 79 * 3


def test_sr_63_a_dose_with_more_leases_than_fit_says_so(
    ledger: SqliteLedger, history: History
) -> None:
    ledger.append([intent(1), *(row for n in range(1, 2_000) for row in (lease(n), count(n)))])
    ledger.append([closed(1), *bolus(2, 2_000)])
    newest = history.page(steps=True)
    assert [row["id"] for row in newest["rows"]] == [request(2)]
    assert newest["rows"][0]["leases_complete"]
    older = history.page(before_seq=newest["next_before_seq"], steps=True)
    (row,) = older["rows"]
    assert not row["leases_complete"]
    assert 500 < len(row["leases"]) < 1_999
    assert len(json.dumps(older)) < REPLY_BYTES - 1_000
    assert older["next_before_seq"] is None


@pytest.mark.parametrize("limit", [0, -1, MOST_ROWS + 1])
def test_a_limit_out_of_range_is_refused_by_name(history: History, limit: int) -> None:
    with pytest.raises(ValueError, match=f"limit = {limit} is out of range"):
        history.page(limit=limit)


def test_history_needs_no_pump_and_sees_one_that_comes_later(path: Path) -> None:
    history = History(path)
    with pytest.raises(LedgerFault, match="No such file"):
        history.page()
    with closing(SqliteLedger(path)) as ledger:
        ledger.append(bolus(1, 1))
    assert len(history.page()["rows"]) == 1  # at rest
    with closing(SqliteLedger(path)) as ledger:
        ledger.append(bolus(2, 3))
        assert len(history.page()["rows"]) == 2  # beside its writer
        ledger.append(bolus(3, 5))
        assert len(history.page()["rows"]) == 3
    assert len(history.page()["rows"]) == 3  # at rest again
    history.close()


def test_history_sees_a_ledger_that_was_put_in_the_place_of_another(
    path: Path, ledger: SqliteLedger, history: History
) -> None:
    ledger.append(bolus(1, 1))
    assert len(history.page()["rows"]) == 1
    ledger.close()
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    with closing(SqliteLedger(path)) as another:
        another.append([entry("note")])
        assert [row["kind"] for row in history.page()["rows"]] == ["note"]


def test_a_damaged_ledger_is_a_fault_with_a_sentence(path: Path, ledger: SqliteLedger) -> None:
    ledger.append(bolus(1, 1))
    ledger.close()
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + bytes(len(raw) - 4096))
    with pytest.raises(LedgerFault, match="cannot be read"):
        History(path).page()


def test_f18_on_a_read_only_disk_history_is_readable_with_what_the_log_holds(path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from appliance.adapters.ledger import SqliteLedger
from appliance.ports import Entry
ledger = SqliteLedger(Path(sys.argv[1]))
ledger.append([Entry("note", "b", 1, 1, 0, "set", {})])
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, timeout=30)
    os.remove(f"{path}-shm")
    read = """
import sys
from pathlib import Path
from appliance.keeper.history import History
print(len(History(Path(sys.argv[1])).page()["rows"]))
"""
    remount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    unshare = shutil.which("unshare") or pytest.skip("NOT RUN: needs unshare, of util-linux")
    mounted = [unshare, "-rm", "sh", "-c", remount, "sh", str(path.parent)]
    said = subprocess.run(
        [*mounted, sys.executable, "-c", read, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    if said.returncode and ("unshare" in said.stderr or "mount" in said.stderr):
        pytest.skip("NOT RUN: needs user and mount namespaces (unshare -rm)")
    assert said.stdout == "1\n", said.stderr
