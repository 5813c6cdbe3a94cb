"""Where a pump's sockets and records are: in a demo's folder, or in this machine's own places."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from appliance.client import wire
from appliance.client.errors import BadPlace, SeveralDemos

RUNTIME = Path("/run/benchpump")
STATE = Path("/var/lib/benchpump")
ENVIRONMENT = "BENCHPUMP_DIR"


@dataclass(frozen=True, slots=True)
class Places:
    """The two folders of one pump; ``demo`` is its demo's folder, None for the machine's own."""

    runtime: Path
    state: Path
    demo: Path | None = None

    @classmethod
    def of(cls, folder: Path | str | None, environment: Mapping[str, str] | None = None) -> Self:
        """Find the pump of ``folder``, of $BENCHPUMP_DIR, of the one demo, or of this machine.

        Raises SeveralDemos, and BadPlace where a folder cannot be used.
        """
        known = os.environ if environment is None else environment
        if folder is None and ENVIRONMENT in known:
            folder = known[ENVIRONMENT]
            if not folder:
                raise BadPlace(
                    f"{ENVIRONMENT} is set and empty: unset it, or name the demo's folder"
                )
        if folder is None:
            demos = running_demos(known)
            if len(demos) > 1:
                raise SeveralDemos(demos)
            if not demos:
                return cls(RUNTIME, STATE)
            folder = demos[0]
        demo = Path(folder).absolute()
        if not demo.is_dir():
            raise BadPlace(
                f"{demo} is not a folder: name the one that was given to the demo with --dir"
            )
        return cls(_runtime_of(demo), demo / "state", demo)

    @property
    def pump_socket(self) -> Path:
        """``pumpd``'s socket."""
        return self.runtime / "pumpd.sock"

    @property
    def keeper_socket(self) -> Path:
        """``pump-keeper``'s socket."""
        return self.runtime / "keeper.sock"

    @property
    def bench_socket(self) -> Path:
        """``bench-sim``'s control socket."""
        return self.runtime / "bench.sock"

    @property
    def why(self) -> Path:
        """What ``pumpd`` wrote when it could not come up at all."""
        return self.runtime / "pumpd.why"

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.state / "ledger.db"

    def reasons_not_up(self) -> list[str]:
        """Return what ``pumpd`` wrote about why it is not up; empty where it wrote nothing."""
        try:
            text = self.why.read_text("utf-8", errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()]


def demos_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Return this user's folder of running demos; it need not exist."""
    known = os.environ if environment is None else environment
    runtime = known.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "benchpump-demos"
    return Path(tempfile.gettempdir()) / f"benchpump-demos-{os.getuid()}"


def register_demo(folder: Path, pid: int, environment: Mapping[str, str] | None = None) -> Path:
    """Note that the demo in ``folder`` is process ``pid``; return the note. Raises BadPlace."""
    demos = demos_folder(environment)
    with contextlib.suppress(FileExistsError):
        demos.mkdir(mode=0o700)
    _refuse_untrusted(demos)
    note = demos / f"{pid}.json"
    fresh = demos / f".{pid}.new"
    body = {"dir": str(folder.absolute()), "pid": pid, "started_ticks": _started_ticks(pid)}
    fresh.write_text(json.dumps(body), "utf-8")
    fresh.replace(note)  # a reader finds the whole note or none
    return note


def unregister_demo(pid: int, environment: Mapping[str, str] | None = None) -> None:
    """Take the note of process ``pid`` away; nothing where there is none."""
    (demos_folder(environment) / f"{pid}.json").unlink(missing_ok=True)


def running_demos(environment: Mapping[str, str] | None = None) -> list[Path]:
    """Return the folders of this user's demos whose launcher lives. Raises BadPlace.

    Reads the folders of both kinds: a demo may have been started from a session with a runtime
    folder, and be asked for from one without.
    """
    found: set[Path] = set()
    for demos in {demos_folder(environment), demos_folder({})}:
        if not demos.exists() and not demos.is_symlink():
            continue
        _refuse_untrusted(demos)
        for note in demos.glob("*.json"):
            folder = _live(note)
            if folder is not None:
                found.add(folder)
    return sorted(found)


def _runtime_of(demo: Path) -> Path:
    """Follow DIR/pumpd.path: a short folder, where DIR's path is too long for a socket."""
    pointer = demo / "pumpd.path"
    try:
        text = pointer.read_text("utf-8").rstrip("\n")
    except FileNotFoundError:
        return demo / "run"
    except (OSError, UnicodeDecodeError) as error:
        raise BadPlace(f"{pointer} cannot be read: {error}") from None
    if not text.startswith("/") or "\n" in text:
        raise BadPlace(f"{pointer} must hold one absolute path, not {wire.shown(text)}")
    return Path(text)


def _refuse_untrusted(folder: Path) -> None:
    """Another user could point us at a pump of theirs; symbolic links are not followed."""
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode):
        raise BadPlace(f"{folder} is not a folder: take it away")
    if seen.st_uid != os.getuid():
        raise BadPlace(f"{folder} belongs to user {seen.st_uid}, not to {os.getuid()}: not trusted")
    if stat.S_IMODE(seen.st_mode) & 0o077:
        raise BadPlace(f"{folder} is open to others: chmod 700 it")


def _live(note: Path) -> Path | None:
    try:
        body = json.loads(note.read_text("utf-8"))
        folder, pid = Path(body["dir"]), int(body["pid"])
        started_ticks = body.get("started_ticks")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # half of a note, or one that went away while we looked
    now_ticks = _started_ticks(pid)
    if now_ticks is None or started_ticks not in (None, now_ticks):
        return None  # ended, or its number belongs to another process by now
    return folder if folder.is_dir() else None


def _started_ticks(pid: int) -> int | None:
    """Return when a process was started, in ticks since boot; None where there is none."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
