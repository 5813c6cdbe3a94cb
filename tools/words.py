#!/usr/bin/env python3
"""The words of the touchscreen: read them out of the code, compile the catalogues.

    tools/words.py            renew ui/locale/*/LC_MESSAGES/benchpump.po and compile each to its .mo
    tools/words.py --missing  print what a catalogue lacks, and end with status 1 where it does

English is what stands in the code. A sentence of the pump's has {0}, {1} in the place of its
numbers (``ui/words.py``); ``ui/locale/pump.txt`` holds those that are not found in a table.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from babel.messages.catalog import Catalog  # noqa: E402
from babel.messages.extract import extract  # noqa: E402
from babel.messages.mofile import write_mo  # noqa: E402
from babel.messages.pofile import read_po, write_po  # noqa: E402

LOCALE = ROOT / "ui" / "locale"
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_KV = re.compile(r"tr\._\((['\"])(.*?)\1\)")


def wanted() -> Catalog:
    """Return every message that the touchscreen may show."""
    found = Catalog(charset="utf-8", header_comment="# Words of Benchpump's touchscreen.")
    for path in sorted((ROOT / "ui").rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        with path.open("rb") as source:
            for _line, message, _comments, _context in extract("python", source):
                found.add(message, locations=[(where, 0)])
    for path in sorted((ROOT / "ui").rglob("*.kv")):
        for match in _KV.finditer(path.read_text("utf-8")):
            found.add(match[2], locations=[(path.relative_to(ROOT).as_posix(), 0)])
    for where, message in of_the_pump():
        found.add(message, locations=[(where, 0)])
    return found


def of_the_pump() -> Iterator[tuple[str, str]]:
    """Yield the pump's own sentences: the tables of alarms and of faults, and a list."""
    table = ROOT / "appliance" / "domain" / "alarms.py"
    for node in ast.walk(ast.parse(table.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "AlarmKind":
            for text in ast.walk(node):
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield "appliance/domain/alarms.py", text.value
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_RESUME":
            value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield "appliance/domain/alarms.py", value.value
    bench = ROOT / "drivers" / "mock" / "faults.py"
    for node in ast.walk(ast.parse(bench.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Fault":
            text = node.args[2] if len(node.args) > 2 else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield "drivers/mock/faults.py", text.value
    for line in (LOCALE / "pump.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield "ui/locale/pump.txt", line


def renew(po: Path, found: Catalog) -> list[str]:
    """Bring a catalogue up to date and compile it; return the messages that it lacks."""
    language = po.parts[-3]
    text = po.read_bytes() if po.exists() else b""
    catalogue = read_po(io.BytesIO(text), locale=language) if text else Catalog(locale=language)
    catalogue.update(found, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.fuzzy = False
    catalogue.header_comment = "# Words of Benchpump's touchscreen; tools/words.py renews them."
    out = io.BytesIO()
    write_po(out, catalogue, width=100, sort_output=True, omit_header=False, no_location=True)
    po.write_bytes(_without_dates(out.getvalue()))
    po.with_suffix(".mo").write_bytes(compiled(po))
    return lacking(po, found)


def compiled(po: Path) -> bytes:
    """Return a catalogue as gettext reads it: the same bytes for the same words."""
    catalogue = read_po(io.BytesIO(po.read_bytes()), locale=po.parts[-3])
    catalogue.project, catalogue.version = "benchpump", "0"
    catalogue.creation_date = catalogue.revision_date = _NO_DATE
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def lacking(po: Path, found: Catalog) -> list[str]:
    """Return the messages of ``found`` that a catalogue has no words for."""
    with po.open("rb") as source:
        catalogue = read_po(source)
    missing = []
    for message in found:
        if not message.id:
            continue
        key = message.id if isinstance(message.id, str) else message.id[0]
        there = catalogue.get(key)
        words = there.string if there is not None else ""
        if not words or (isinstance(words, tuple) and not all(words)):
            missing.append(key)
    return missing


def _without_dates(text: bytes) -> bytes:
    """Drop the header lines that differ at each run: the file changes where a word has."""
    dropped = (b'"POT-', b'"PO-', b'"Generated-', b'"Last-', b'"Project-', b'"Report-')
    dropped += (b'"Language-Team',)
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(dropped)]
    return b"".join(lines)


def main() -> int:
    found = wanted()
    missing: dict[str, list[str]] = {}
    for po in sorted(LOCALE.glob("*/LC_MESSAGES/benchpump.po")):
        gone = lacking(po, found) if "--missing" in sys.argv[1:] else renew(po, found)
        if gone:
            missing[po.parts[-3]] = gone
    for language, messages in missing.items():
        for message in messages:
            print(f"{language}: {message!r}")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
