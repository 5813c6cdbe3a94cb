"""The installer's releases: whatever cuts an upgrade short, the old version or the new one runs.

The installer's own functions work on a small project in a folder. A real installation is cut in
``tests/vm``.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools" / "install"
SIDE_BY_SIDE = 4
"""So many tests share the cuts of a whole upgrade, each a part: they run on every core."""
pytestmark = pytest.mark.timeout(1_800)

# A project with a back end of its own, so that nothing is fetched and nothing else is needed.
PROJECT = """
[project]
name = "benchpump"
version = "1"
[build-system]
requires = []
build-backend = "back_end"
backend-path = ["tools"]
"""
BACK_END = """
import zipfile
from pathlib import Path

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "benchpump-1-py3-none-any.whl"
    files = {
        "benchpump.pth": f"{Path.cwd()}\\n",
        "benchpump-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: benchpump\\nVersion: 1\\n",
        "benchpump-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nTag: py3-none-any\\n",
        "benchpump-1.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""

UPGRADE = """
set -Eeuo pipefail
source=$1 top=$2 made=$2/made factory=bench from=$2 yes=1
for part in steps packages release; do . "$TOOLS/$part.sh"; done
set -o functrace
commands=0
trap 'commands=$((commands + 1)); [[ $commands -ne $KILL_AT ]] || kill -KILL -- -$$' DEBUG
drop_half_releases
name=$(release_name)
make_release "$name"
switch_to "$name"
drop_old_releases
trap - DEBUG
echo "commands $commands"
"""

STATE = """
set -Eeuo pipefail
source=$1 top=$2 made=$2/made factory=bench from=$2
for part in steps packages release; do . "$TOOLS/$part.sh"; done
name=$(current_release)
is_whole "$name"
"$top/current/venv/bin/python" -P -c 'import appliance; print(appliance.__version__)'
"""


class Installation:
    """A project, and the folder that its releases are installed in."""

    def __init__(self, folder: Path) -> None:
        self.sources, self.top = folder / "sources", folder / "top"
        self.top.mkdir()
        for name in ("appliance", "drivers", "ui", "systemd", "docs", "requirements", "tools"):
            (self.sources / name).mkdir(parents=True)
        for name in ("drivers/__init__.py", "ui/__init__.py", "requirements/machine.txt"):
            (self.sources / name).touch()
        for name in ("install.sh", "README.md", "CHANGELOG.md", "LICENSE", "docs/guide.md"):
            (self.sources / name).write_text(f"{name}\n")
        (self.sources / "systemd" / "pumpd.service").write_text("[Unit]\n")
        (self.sources / "pyproject.toml").write_text(PROJECT)
        (self.sources / "tools" / "back_end.py").write_text(BACK_END)
        self.write(0)

    def write(self, version: int) -> None:
        """Make the sources those of another version."""
        (self.sources / "appliance" / "__init__.py").write_text(f'__version__ = "{version}"\n')

    def begin(self, kill_at: int = 0) -> "subprocess.Popen[str]":
        """Begin an upgrade, which kills itself before its command number ``kill_at``."""
        return subprocess.Popen(
            ["/bin/bash", "-c", UPGRADE, "bash", self.sources, self.top],
            env={**os.environ, "TOOLS": str(TOOLS), "KILL_AT": str(kill_at)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def upgraded(self) -> int:
        """Upgrade to the end; return how many commands that took."""
        upgrade = self.begin()
        said, _ = upgrade.communicate(timeout=120)
        assert upgrade.returncode == 0, said
        return int(said.split()[-1])

    def version(self) -> int:
        """Return which version runs; it must be whole."""
        seen = subprocess.run(
            ["/bin/bash", "-c", STATE, "bash", self.sources, self.top],
            env={**os.environ, "TOOLS": str(TOOLS)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert seen.returncode == 0, f"not whole: {seen.stdout}{seen.stderr}"
        return int(seen.stdout)


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    made.upgraded()
    assert made.version() == 0
    return made


def cut(installed: Installation, version: int, kill_at: int) -> bool:
    """Upgrade to a version, killed before one command; say whether it came to that command."""
    installed.write(version)
    before = installed.version()
    upgrade = installed.begin(kill_at)
    said, _ = upgrade.communicate(timeout=120)
    if upgrade.returncode == 0:
        assert installed.version() == version
        return False
    assert upgrade.returncode == -signal.SIGKILL, said
    assert installed.version() in (before, version)
    return True


def afterwards_it_is_upgraded(installed: Installation, version: int) -> None:
    installed.write(version)
    installed.upgraded()
    assert installed.version() == version
    releases = [one.name for one in (installed.top / "releases").iterdir()]
    assert len(releases) <= 3
    for name in releases:
        assert (installed.top / "releases" / name / "complete").exists(), f"{name} is half"


def test_sr_68_f68_an_upgrade_killed_before_its_last_commands_leaves_old_or_new(
    installed: Installation,
) -> None:
    installed.write(1)
    commands = installed.upgraded()
    for number, kill_at in enumerate((commands // 2, commands - 20, commands - 8)):
        cut(installed, number + 2, kill_at)
    afterwards_it_is_upgraded(installed, 99)


def test_sr_68_f68_an_upgrade_killed_in_the_middle_of_whatever_runs_leaves_the_old_or_the_new(
    installed: Installation,
) -> None:
    dice = random.Random(68)  # noqa: S311
    began = time.monotonic()
    installed.write(1)
    installed.upgraded()
    whole_s = time.monotonic() - began
    for number in range(3):
        installed.write(number + 2)
        before = installed.version()
        upgrade = installed.begin()
        time.sleep(dice.uniform(0, whole_s))
        os.killpg(upgrade.pid, signal.SIGKILL)
        upgrade.communicate(timeout=60)
        assert installed.version() in (before, number + 2)
    afterwards_it_is_upgraded(installed, 99)


@pytest.mark.full
@pytest.mark.parametrize("first", range(1, SIDE_BY_SIDE + 1))
def test_sr_68_f68_an_upgrade_killed_before_each_of_its_commands_leaves_old_or_new(
    installed: Installation, tmp_path: Path, first: int
) -> None:
    for version in (1, 2):  # so that there is one to drop
        installed.write(version)
        installed.upgraded()
    saved = tmp_path / "saved"
    shutil.copytree(installed.top, saved, symlinks=True)
    kill_at = first
    while cut(installed, kill_at + 2, kill_at):
        # What a cut leaves makes the next upgrade longer: an end that moves away is never reached.
        shutil.rmtree(installed.top)
        shutil.copytree(saved, installed.top, symlinks=True)
        kill_at += SIDE_BY_SIDE
    assert kill_at > 100
    afterwards_it_is_upgraded(installed, 9_999)
