"""``python -m appliance.verify LEDGER``: status 0 whole, 1 not, 2 wrong words, 3 no such file."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.verify.reader import Verdict, verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify one ledger, say what was found, and return the exit status."""
    parser = argparse.ArgumentParser(prog="verify", description="Check a ledger of the bench pump.")
    parser.add_argument("ledger", type=Path)
    parser.add_argument("--json", action="store_true", help="print the verdict as one JSON object")
    asked = parser.parse_args(arguments)
    watched = sys.stderr.isatty()
    try:
        verdict = verify(asked.ledger, _show if watched else None)
    except FileNotFoundError:
        sys.stderr.write(f"{asked.ledger}: there is no such file\n")
        return 3
    except OSError as error:
        sys.stderr.write(f"{asked.ledger}: cannot be read: {error.strerror}\n")
        return 1
    if watched:
        sys.stderr.write("\r\033[K")
    said = (
        json.dumps(dataclasses.asdict(verdict)) if asked.json else sentences(asked.ledger, verdict)
    )
    sys.stdout.write(said + "\n")
    return 0 if verdict.ok else 1


def sentences(path: Path, verdict: Verdict) -> str:
    """Say a verdict for a person: what holds first, then every reason against the rest."""
    lines = [
        f"BENCH ledger {path}: {'whole' if verdict.ok else 'NOT WHOLE'}",
        f"  {verdict.rows} rows hold, up to the head {verdict.head}",
        f"  {verdict.confirmed_steps} steps confirmed, {verdict.maximum_steps} at most"
        f" ({verdict.open_leases} leases open)",
    ]
    if verdict.first_bad_seq is not None:
        lines.append(f"  the first bad row is {verdict.first_bad_seq}")
    return "\n".join(lines + [f"  - {reason}" for reason in verdict.reasons])


def _show(rows: int) -> None:
    sys.stderr.write(f"\r{rows} rows read")


if __name__ == "__main__":
    sys.exit(main())
