"""What the installation does to a file that is not ours: the boot configuration, and its words."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENABLE_N, OTHERS = "22", "17,27,23,5,6,24,25,13,12,16,20,21"
OWN = "# For more options\ndtparam=audio=on\n\n[cm4]\notg_mode=1\n"


def boot(call: str, *, dry_run: str = "") -> subprocess.CompletedProcess[str]:
    tools = ROOT / "tools" / "install"
    text = f"""
        set -Eeuo pipefail
        dry_run={dry_run} made=$PWD/made reboot_needed=
        . {tools}/steps.sh
        . {tools}/boot.sh
        {call}
        echo "changes=$changes reboot=$reboot_needed"
    """
    return subprocess.run(
        ["/bin/bash", "-c", text], capture_output=True, text=True, timeout=20, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.txt"
    file.write_text(OWN)
    return file


def configure(file: Path, *, dry_run: str = "") -> subprocess.CompletedProcess[str]:
    example = ROOT / "docs" / "benchpump.example.toml"
    return boot(f"boot_configure {file} {example}", dry_run=dry_run)


def test_the_boot_configuration_gets_one_block_at_its_end_and_a_copy_is_kept(config: Path) -> None:
    done = configure(config)
    assert "changes=2 reboot=1" in done.stdout, done.stderr
    text = config.read_text()
    assert text.startswith(OWN + "# BEGIN benchpump\n[all]\n")
    assert text.endswith("# END benchpump\n")
    assert "\ndtparam=strict_gpiod\n" in text
    for line in (f"gpio={ENABLE_N}=ip,pu", f"gpio={OTHERS}=ip,pd"):
        assert f"\n{line}\n" in text
    assert (config.parent / "config.txt.before-benchpump").read_text() == OWN


def test_a_second_time_changes_nothing(config: Path) -> None:
    configure(config)
    before = config.read_text(), config.stat().st_mtime_ns
    assert "changes=0 reboot=\n" in configure(config).stdout
    assert (config.read_text(), config.stat().st_mtime_ns) == before


def test_a_dry_run_shows_the_difference_and_changes_nothing(config: Path) -> None:
    said = configure(config, dry_run="1").stdout
    assert "+dtparam=strict_gpiod" in said
    assert config.read_text() == OWN
    assert [path.name for path in config.parent.iterdir()] == ["config.txt"]


def test_a_card_without_python_yet_is_told_the_same(config: Path) -> None:
    none = "python3() { echo 'no Python yet' >&2; return 127; }"
    example = ROOT / "docs" / "benchpump.example.toml"
    said = boot(f"{none}\n boot_configure {config} {example}", dry_run="1")
    assert f"+gpio={OTHERS}=ip,pd" in said.stdout, said.stderr
    assert said.stdout == configure(config, dry_run="1").stdout


def test_pins_that_cannot_be_read_name_the_file_and_change_nothing(
    config: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("pins = { enable_n = 22 }\n")
    refused = boot(f"boot_configure {config} {wrong}")
    assert refused.returncode == 1
    assert f"{wrong}: a pin is missing in [pins]" in refused.stderr
    assert config.read_text() == OWN


def test_what_a_person_wrote_below_stays_and_the_copy_too(config: Path) -> None:
    configure(config)
    config.write_text(config.read_text() + "dtoverlay=disable-bt\n")
    done = boot(f"boot_restore {config}")
    assert config.read_text() == OWN + "dtoverlay=disable-bt\n"
    assert "stays" in done.stdout
    assert (config.parent / "config.txt.before-benchpump").exists()


@pytest.mark.parametrize("own", [OWN, OWN.rstrip("\n"), ""])
def test_uninstalled_it_is_byte_for_byte_what_it_was(config: Path, own: str) -> None:
    config.write_text(own)
    configure(config)
    boot(f"boot_restore {config}")
    ended = (
        own if own.endswith("\n") or not own else own + "\n"
    )  # a last line without an end gets one
    assert config.read_text() == ended
    left = {path.name for path in config.parent.iterdir()}
    assert left - {"config.txt", "config.txt.before-benchpump"} == set()
    assert ("config.txt.before-benchpump" in left) == (ended != own)


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_who_may_read_it_stays_as_it_was(config: Path, mode: int) -> None:
    config.chmod(mode)
    configure(config)
    assert config.stat().st_mode & 0o777 == mode
    boot(f"boot_restore {config}")
    assert config.stat().st_mode & 0o777 == mode


def test_half_a_block_is_left_to_a_person(config: Path) -> None:
    config.write_text(OWN + "# BEGIN benchpump\n")
    done = configure(config)
    assert done.returncode == 1
    assert "1 lines '# BEGIN benchpump', and 0 lines '# END benchpump'" in done.stderr
    assert config.read_text() == OWN + "# BEGIN benchpump\n"


def test_words_that_are_none_of_its_own_end_with_status_2() -> None:
    for words in (["rollback", "--quick"], ["--from"], ["prepare"]):
        done = subprocess.run(
            [ROOT / "install.sh", *words], capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 2, (words, done.stderr)
