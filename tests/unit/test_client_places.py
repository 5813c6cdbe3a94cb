"""Where a pump is: named, the one running demo, or this machine's; never guessed."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from appliance.client.errors import BadPlace, SeveralDemos
from appliance.client.places import (
    Places,
    demos_folder,
    register_demo,
    running_demos,
    unregister_demo,
)


@pytest.fixture(autouse=True)
def no_other_demos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Demos of this computer are no part of these tests."""
    quiet = tmp_path / "tmp"
    quiet.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(quiet))


@pytest.fixture
def runtime(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(folder)}


def demo(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_named_folder_holds_sockets_and_records(tmp_path: Path) -> None:
    places = Places.of(tmp_path, {})
    assert places.pump_socket == tmp_path / "run/pumpd.sock"
    assert places.keeper_socket == tmp_path / "run/keeper.sock"
    assert places.bench_socket == tmp_path / "run/bench.sock"
    assert places.why == tmp_path / "run/pumpd.why"
    assert places.ledger == tmp_path / "state/ledger.db"
    assert places.demo == tmp_path


def test_a_pointer_leads_to_a_short_folder_for_the_sockets_alone(tmp_path: Path) -> None:
    (tmp_path / "pumpd.path").write_text("/srv/short\n")
    places = Places.of(tmp_path, {})
    assert places.pump_socket == Path("/srv/short/pumpd.sock")
    assert places.ledger == tmp_path / "state/ledger.db"


@pytest.mark.parametrize("text", ["", "relative/run", "/a\n/b", "\n"])
def test_a_pointer_that_is_no_path_is_not_followed(tmp_path: Path, text: str) -> None:
    (tmp_path / "pumpd.path").write_text(text)
    with pytest.raises(BadPlace, match="one absolute path"):
        Places.of(tmp_path, {})


def test_a_pointer_that_is_not_text_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "pumpd.path").write_bytes(b"/tmp/\xff")
    with pytest.raises(BadPlace, match="cannot be read"):
        Places.of(tmp_path, {})


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadPlace, match="is not a folder"):
        Places.of(tmp_path / "nowhere", {})


def test_the_environment_names_a_folder_and_dir_goes_before_it(tmp_path: Path) -> None:
    one, two = demo(tmp_path, "one"), demo(tmp_path, "two")
    assert Places.of(None, {"BENCHPUMP_DIR": str(one)}).demo == one
    assert Places.of(two, {"BENCHPUMP_DIR": str(one)}).demo == two
    with pytest.raises(BadPlace, match="is set and empty"):
        Places.of(None, {"BENCHPUMP_DIR": ""})


def test_without_a_demo_it_is_this_machines_pump(runtime: dict[str, str]) -> None:
    places = Places.of(None, runtime)
    assert places.pump_socket == Path("/run/benchpump/pumpd.sock")
    assert places.ledger == Path("/var/lib/benchpump/ledger.db")
    assert places.demo is None


def test_the_one_running_demo_is_found_and_several_are_listed(
    tmp_path: Path, runtime: dict[str, str]
) -> None:
    one, two = demo(tmp_path, "one"), demo(tmp_path, "two")
    register_demo(one, os.getpid(), runtime)
    assert Places.of(None, runtime).demo == one
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        register_demo(two, other.pid, runtime)
        with pytest.raises(SeveralDemos) as several:
            Places.of(None, runtime)
        assert several.value.folders == [one, two]
        other.communicate(b"\n")
    assert running_demos(runtime) == [one]  # the other has ended without a word
    unregister_demo(os.getpid(), runtime)
    unregister_demo(os.getpid(), runtime)
    assert running_demos(runtime) == []


def test_a_process_that_took_over_a_number_is_not_the_demo(
    tmp_path: Path, runtime: dict[str, str]
) -> None:
    note = register_demo(demo(tmp_path, "one"), os.getpid(), runtime)
    body = json.loads(note.read_text())
    note.write_text(json.dumps(body | {"started_ticks": body["started_ticks"] - 1}))
    assert running_demos(runtime) == []
    note.write_text(json.dumps({"dir": body["dir"], "pid": body["pid"]}))  # as a script may write
    assert running_demos(runtime) == [tmp_path / "one"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"dir":1,"pid":1}', '{"dir":"/x"}', '{"pid":1}'])
def test_half_a_note_is_no_demo(tmp_path: Path, runtime: dict[str, str], text: str) -> None:
    note = register_demo(demo(tmp_path, "one"), os.getpid(), runtime)
    note.write_text(text)
    assert running_demos(runtime) == []


def test_a_demo_whose_folder_is_gone_does_not_count(
    tmp_path: Path, runtime: dict[str, str]
) -> None:
    folder = demo(tmp_path, "one")
    register_demo(folder, os.getpid(), runtime)
    folder.rmdir()
    assert running_demos(runtime) == []


def test_a_demo_started_in_another_kind_of_session_is_found(
    tmp_path: Path, runtime: dict[str, str]
) -> None:
    folder = demo(tmp_path, "one")
    register_demo(folder, os.getpid(), {})  # root has no runtime folder
    assert demos_folder({}) == Path(tempfile.gettempdir()) / f"benchpump-demos-{os.getuid()}"
    assert running_demos(runtime) == [folder]


def test_the_folder_of_demos_is_its_users_alone(tmp_path: Path, runtime: dict[str, str]) -> None:
    register_demo(demo(tmp_path, "one"), os.getpid(), runtime)
    folder = demos_folder(runtime)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(BadPlace, match="open to others"):
        running_demos(runtime)
    with pytest.raises(BadPlace, match="open to others"):
        register_demo(tmp_path, os.getpid(), runtime)


def test_a_link_or_a_file_in_its_place_is_not_trusted(
    tmp_path: Path, runtime: dict[str, str]
) -> None:
    folder = demos_folder(runtime)
    folder.symlink_to(tmp_path)
    with pytest.raises(BadPlace, match="is not a folder"):
        running_demos(runtime)
    folder.unlink()
    folder.write_text("")
    with pytest.raises(BadPlace, match="is not a folder"):
        register_demo(tmp_path, os.getpid(), runtime)


def test_a_folder_of_another_user_is_not_trusted(tmp_path: Path, runtime: dict[str, str]) -> None:
    if os.getuid() != 0:
        pytest.skip("NOT RUN: needs root, to give a folder to another user")
    folder = demos_folder(runtime)
    folder.mkdir(mode=0o700)
    os.chown(folder, 65_534, 65_534)
    with pytest.raises(BadPlace, match="belongs to user 65534"):
        running_demos(runtime)


def test_what_pumpd_left_behind_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    places = Places.of(tmp_path, {})
    assert places.reasons_not_up() == []
    places.why.write_bytes(b"pins.step = 99\n\nbad byte \xff\n")
    assert places.reasons_not_up() == ["pins.step = 99", "bad byte \ufffd"]
