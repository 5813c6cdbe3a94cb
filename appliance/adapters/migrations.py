"""The ledger's schema, as numbered migrations that are never edited.

A row is its text and its digest. What is searched for is a virtual column computed from the text,
so that no column can disagree with what was hashed; a migration may add one without touching a row.
Each costs at every insert, so there are three. Leases and counts, nearly all of the rows, enter no
index: their commit costs what a bare insert costs, and they are read in order of ``seq`` alone.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from appliance.adapters.lean import without
from appliance.domain.history import APPLICATION_ID

# It takes in pandas and numpy for types that no row here has: half a second of a start, and 60 MiB.
with without("pandas", "numpy"):
    from sqlite_utils import Database, Migrations

LEDGER = Migrations("benchpump-ledger")


@LEDGER(name="0001 entries")
def _entries(db: Database) -> None:
    columns = ", ".join(
        f"{name} {kind} GENERATED ALWAYS AS (json_extract(text, '$.{path}')) VIRTUAL"
        for name, kind, path in (
            ("kind", "TEXT", "kind"),
            ("utc_ns", "INTEGER", "utc_ns"),
            ("request_id", "TEXT", "body.request_id"),
        )
    )
    db.execute(
        "CREATE TABLE entries (seq INTEGER PRIMARY KEY CHECK (seq > 0), text TEXT NOT NULL,"
        f" digest BLOB NOT NULL CHECK (length(digest) = 32), {columns}) STRICT"
    )
    rare = "kind <> 'lease' AND kind <> 'count'"
    shown = f"{rare} AND kind <> 'closed' AND kind <> 'checkpoint'"
    db.execute(f"CREATE INDEX entries_kind ON entries (kind, seq) WHERE {rare}")
    db.execute(f"CREATE INDEX entries_shown ON entries (seq) WHERE {shown}")
    db.execute(f"CREATE INDEX entries_shown_utc ON entries (utc_ns, seq) WHERE {shown}")
    # One index finds every row of a request and refuses a second intent for it (SR-37).
    db.execute(
        "CREATE UNIQUE INDEX entries_request ON entries"
        " (request_id, CASE kind WHEN 'intent' THEN 0 ELSE seq END) WHERE request_id IS NOT NULL"
    )
    for verb in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER entries_no_{verb.lower()} BEFORE {verb} ON entries"
            " BEGIN SELECT RAISE(ABORT, 'the ledger is append only'); END"
        )
    db.execute(
        "CREATE TRIGGER entries_in_order BEFORE INSERT ON entries"
        " WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entries)"
        " BEGIN SELECT RAISE(ABORT, 'a row follows the last one'); END"
    )
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")


def bring_up(
    connection: sqlite3.Connection, path: Path, migrations: Migrations = LEDGER
) -> Path | None:
    """Bring the ledger at ``path`` to the newest schema; return the backup that was made before.

    A new file needs none. A migration is done whole or not at all. Raises sqlite3.Error, OSError.
    """
    backup = None
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version:
        backup = path.with_name(f"{path.name}.schema-{version}")
        backup.unlink(missing_ok=True)  # left by a migration that was cut short
        connection.execute("VACUUM INTO ?", (str(backup),))
        for place in (backup, backup.parent):
            descriptor = os.open(place, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
    migrations.apply(Database(connection, execute_plugins=False))
    return backup
