"""The units: how closed they are, what they may not depend on, and what they promise."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "systemd"
DAEMONS = ("pumpd", "pump-guard", "bench-sim", "pumpd-down")
MOST_TENTHS = {**dict.fromkeys(DAEMONS, 11), "pump-ui": 15, "pump-keeper": 16}
UNITS = sorted(MOST_TENTHS)


class Unit(configparser.RawConfigParser):
    """A unit file; the values of a key that stands more than once are joined by a space."""

    def __init__(self, name: str) -> None:
        super().__init__(strict=False)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        joined: dict[tuple[str, str], str] = {}
        section = ""
        for line in (SYSTEMD / f"{name}.service").read_text().splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                joined[section, key] = f"{joined.get((section, key), '')} {value}".strip()
        for (section, key), value in joined.items():
            if not self.has_section(section):
                self.add_section(section)
            self.set(section, key, value)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("NOT RUN: needs systemd-analyze; apt-get install systemd")
    return subprocess.run(
        [program, "--no-pager", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_every_unit_has_a_limit_to_its_exposure() -> None:
    assert {path.stem for path in SYSTEMD.glob("*.service")} == set(UNITS)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_as_closed_as_it_can_be(name: str) -> None:
    found = analyze(
        "security",
        "--offline=true",
        f"--threshold={MOST_TENTHS[name]}",
        str(SYSTEMD / f"{name}.service"),
    )
    assert found.returncode == 0, found.stdout.splitlines()[-1]


def test_systemd_understands_every_line_of_every_unit(tmp_path: Path) -> None:
    for name in UNITS:
        text = (SYSTEMD / f"{name}.service").read_text()
        text = re.sub(r"/opt/benchpump/current/venv/bin/\S+", "/bin/true", text)
        (tmp_path / f"{name}.service").write_text(text)
    found = analyze("verify", "--man=no", *(str(tmp_path / f"{name}.service") for name in UNITS))
    ours = [line for line in found.stderr.splitlines() if str(tmp_path) in line]
    assert ours == []


def test_sr_55_pumpd_is_started_four_times_in_five_minutes_and_then_says_why() -> None:
    pumpd = Unit("pumpd")
    assert pumpd["Unit"]["StartLimitBurst"] == "4"
    assert pumpd["Unit"]["StartLimitIntervalSec"] == "300"
    assert pumpd["Unit"]["OnFailure"] == "pumpd-down.service"
    assert pumpd["Service"]["Restart"] == "on-failure"
    assert pumpd["Service"]["RestartPreventExitStatus"] == "2"
    assert "pumpd.why" in Unit("pumpd-down")["Service"]["ExecStart"]


def test_sr_58_pumpd_and_guard_have_a_watchdog_and_say_themselves_when_they_are_ready() -> None:
    for name, watchdog_s in (("pumpd", 5), ("pump-guard", 3)):
        service = Unit(name)["Service"]
        assert service["Type"] == "notify"
        assert service["NotifyAccess"] == "main"
        assert service["WatchdogSec"] == str(watchdog_s)
    manager = (SYSTEMD / "manager.conf").read_text()
    assert re.search(r"^RuntimeWatchdogSec=14s$", manager, re.M)  # a Pi's counts to 15 s


def test_f10_where_memory_runs_out_the_keeper_and_the_screen_go_before_the_pump() -> None:
    order = ["pump-guard", "pumpd", "pump-ui", "pump-keeper"]
    score = {name: int(Unit(name)["Service"]["OOMScoreAdjust"]) for name in order}
    assert sorted(order, key=score.__getitem__) == order
    # Nearly never against what has none: -1000 is never, and would let a leak take all.
    assert -1000 < score["pump-guard"] < score["pumpd"] <= -900
    assert score["pump-ui"] > 0


def test_no_end_of_another_program_ends_delivery() -> None:
    """pumpd and guard are wanted, never required, and neither waits for a clock or a network."""
    for name in UNITS:
        unit = Unit(name)["Unit"]
        assert not {"Requires", "BindsTo", "PartOf", "Requisite"} & set(unit)
    for name in ("pumpd", "pump-guard"):
        before = " ".join(Unit(name)["Unit"].get(key, "") for key in ("Wants", "After"))
        assert "pump-ui" not in before
        assert "pump-keeper" not in before
        assert "time-sync" not in before
        assert "network" not in before


def test_real_time_is_for_the_thread_that_asks_and_has_an_end() -> None:
    for name in UNITS:
        assert "CPUSchedulingPolicy" not in Unit(name)["Service"]
    for name in ("pumpd", "pump-guard"):
        service = Unit(name)["Service"]
        assert int(service["LimitRTPRIO"]) >= 50
        assert int(service["LimitRTTIME"]) <= 500_000
        assert service["LimitMEMLOCK"] == "infinity"
        assert "sched_setscheduler" in service["SystemCallFilter"]


def test_a_dead_guard_leaves_enable_off() -> None:
    assert Unit("pump-guard")["Service"]["ExecStopPost"].endswith(" --off")


def test_every_program_is_a_user_of_its_own_that_sysusers_makes() -> None:
    users = {Unit(name)["Service"]["User"] for name in UNITS}
    made = set(re.findall(r"^u (\S+)", (SYSTEMD / "sysusers.conf").read_text(), re.M))
    assert users == made == {"pumpd", "pump-guard", "pump-keeper", "pump-ui", "bench-sim"}


def test_no_user_of_the_group_benchpump_can_speak_to_the_guard_or_read_the_records() -> None:
    assert Unit("pump-guard")["Service"]["Group"] == "pumpd"
    places = (SYSTEMD / "tmpfiles.conf").read_text()
    assert re.search(r"^d +/var/lib/benchpump +2750 +pumpd +pumpd", places, re.M)
    assert re.search(r"^d +/run/benchpump +1770 +root +benchpump", places, re.M)
