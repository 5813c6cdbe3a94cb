"""Do what the README promises: start the demo, give a bolus, and ask the plant what moved.

Run it with the Python of the virtual environment that ``./install.sh`` made. It ends with status 0
only if the demo became ready, delivered basal, gave 2.5 U to the microstep by every account, and
left no program behind when it was stopped.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
PUMPCTL = ROOT / ".venv/bin/pumpctl"
BOLUS_U, BOLUS_UU = "2.5", 2_500_000
READY_S, BASAL_S, BOLUS_S, STOP_S = 180, 60, 120, 30


def fail(text: str) -> NoReturn:
    sys.exit(f"FAILED: {text}")


def wait_until(is_so: Callable[[], bool], limit_s: float, otherwise: Callable[[], str]) -> None:
    """Ask twice a second, and fail with what ``otherwise`` says after ``limit_s``."""
    deadline_s = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline_s:
            fail(f"{otherwise()} within {limit_s} s")
        time.sleep(0.5)


def pumpctl(folder: Path, *words: str) -> str:
    """Run one ``pumpctl`` and return what it printed."""
    command: list[str | Path] = [PUMPCTL, "--dir", folder, *words]
    print("$ pumpctl --dir D", *words, flush=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=BOLUS_S)
    if done.returncode != 0:
        fail(f"pumpctl {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def asked(folder: Path, *words: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(pumpctl(folder, *words, "--json"))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def check(folder: Path, demo: "subprocess.Popen[bytes]", log: Path) -> None:
    """Go through the promises one by one; fail at the first that is not kept."""

    def is_ready() -> bool:
        if demo.poll() is not None:
            fail(f"the demo ended with status {demo.returncode} before it was ready")
        return "READY" in log.read_text()

    wait_until(is_ready, READY_S, lambda: "the demo was not ready")
    print("READY")

    def delivered_steps() -> int:
        truth = asked(folder, "bench", "status")
        return int(truth["steps_forward"] - truth["steps_reverse"])

    at_start_steps = delivered_steps()
    wait_until(lambda: delivered_steps() > at_start_steps, BASAL_S, lambda: "basal moved nothing")

    print(pumpctl(folder, "bolus", BOLUS_U, "--yes", "--wait"), end="")
    pumpctl(folder, "suspend")  # so that nothing moves between the accounts compared below

    rows = asked(folder, "history")["rows"]
    boluses = [row for row in rows if row.get("programmed_uu") == BOLUS_UU]
    if len(boluses) != 1:
        fail(f"history shows {len(boluses)} boluses of {BOLUS_U} U, not one")
    steps = {name: boluses[0][f"{name}_steps"] for name in ("programmed", "issued", "confirmed")}
    print("the bolus, in steps:", steps)
    if len(set(steps.values())) != 1 or not steps["confirmed"]:
        fail(f"the bolus is not to the microstep: {steps}")

    verified = asked(folder, "verify")
    truth_steps = delivered_steps()
    print(f"all motion: ledger {verified['confirmed_steps']}, plant {truth_steps} steps")
    if not verified["ok"] or verified["confirmed_steps"] != truth_steps:
        fail(f"the plant moved {truth_steps} steps, and the ledger says {verified}")


def main() -> None:
    """Start the demo in a folder of its own, check it, stop it, and see that it is gone."""
    with tempfile.TemporaryDirectory(prefix="benchpump-") as scratch:
        folder, log = Path(scratch, "D"), Path(scratch, "log")
        words = [
            str(ROOT / "install.sh"),
            "demo",
            "--headless",
            "--speed",
            "60",
            "--dir",
            str(folder),
        ]
        print("$ ./install.sh demo --headless --speed 60 --dir D", flush=True)
        with log.open("wb") as out:
            demo = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        pids: dict[str, int] = {}
        try:
            check(folder, demo, log)
            pids = {name: pid for name, pid in asked(folder, "status")["pids"].items() if pid}
        except SystemExit:
            print("--- what the demo said last:", *log.read_text().splitlines()[-30:], sep="\n")
            raise
        finally:
            demo.send_signal(signal.SIGTERM)
            try:
                demo.wait(STOP_S)
            except subprocess.TimeoutExpired:
                demo.kill()
                fail(f"the demo did not stop within {STOP_S} s")
        left = {name: pid for name, pid in pids.items() if is_alive(pid)}
        if left or demo.returncode != 0:
            fail(f"the demo stopped with status {demo.returncode}, and left {left} running")
    print("Demo and bolus: as promised.")


if __name__ == "__main__":
    main()
