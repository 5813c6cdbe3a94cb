"""Digits and separators under other locales, and where the computer has no fonts of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from fontTools.ttLib import TTFont
from kivy.core.text import Label
from ui_desk import snapshot_of

from ui.theme import FONTS
from ui.words import LOCALE

ROOT = Path(__file__).parents[2]
LOCALES = ("de_DE", "ar_EG", "hi_IN")
"""One whose decimals follow a comma, an Arabic one, and one that writes Devanagari."""


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the locales, compiled from their sources."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None or not Path("/usr/share/i18n/locales/de_DE").exists():
        pytest.skip("NOT RUN: needs the sources of locales; apt-get install locales")
    for name in LOCALES:
        words = ["localedef", "--no-archive", "-c", "-i", name, "-f", "UTF-8"]
        subprocess.run([*words, str(folder / f"{name}.UTF-8")], check=False, capture_output=True)
        assert (folder / f"{name}.UTF-8" / "LC_NUMERIC").exists(), name
    return folder


def begun(snapshot: bytes, **environment: str) -> subprocess.Popen[bytes]:
    """Start a kiosk under an environment, and give it the pump's state."""
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    paths = f"{ROOT}:{ROOT / 'tests/support'}"
    program = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/support/said_screens.py")],
        env={**kept, "PYTHONPATH": paths, "PYTHONUTF8": "1", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdin is not None
    program.stdin.write(snapshot)
    program.stdin.close()
    program.stdin = None
    return program


def said(program: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, err = program.communicate(timeout=100)
    assert program.returncode == 0, err.decode()[-2_000:]
    return dict(json.loads(out))


@pytest.mark.full  # five programs with a window each
@pytest.mark.timeout(150)
def test_f41_sr_12_no_locale_and_no_missing_font_changes_a_digit_or_a_pixel(
    locales: Path, tmp_path: Path
) -> None:
    snapshot = json.dumps(snapshot_of().raw).encode()
    usual = said(begun(snapshot, LC_ALL="C.UTF-8"))
    assert {"12.50", "Review 12.50 U"} <= set(usual["bolus"]["texts"]), usual["bolus"]["texts"]
    others = {
        name: begun(
            snapshot,
            LOCPATH=str(locales),
            LC_ALL=f"{name}.UTF-8",
            LANGUAGE=name[:2],
            # No font but those that come along: nothing of the system's is found.
            FONTCONFIG_FILE=str(tmp_path / "none"),
            XDG_DATA_HOME=str(tmp_path),
            HOME=str(tmp_path),
        )
        for name in LOCALES
    }
    told = {name: said(program) for name, program in others.items()}
    for name, found in told.items():
        assert (found.pop("point") == ",") == (name == "de_DE"), "the locale is in force"
        assert found == {key: one for key, one in usual.items() if key != "point"}, name


def test_f41_every_letter_of_every_language_is_in_every_font() -> None:
    written = (LOCALE / "de/LC_MESSAGES/benchpump.po").read_text("utf-8")
    sources = [path.read_text("utf-8") for path in (ROOT / "ui").rglob("*.py")]
    letters = set(chain(written, re.sub(r"\\u[0-9a-f]{4}", "", "".join(sources)))) - set("\n\r\t")
    assert set("0123456789.–−×·…äöüß") <= letters
    for font in sorted(FONTS.glob("*.ttf")):
        with TTFont(font) as read:
            lacking = sorted(letters - set(map(chr, read.getBestCmap())))
        assert lacking == [], font.name


def test_f41_a_font_that_is_gone_is_named_and_no_other_takes_its_place(tmp_path: Path) -> None:
    gone = tmp_path / "Roboto-Regular.ttf"
    with pytest.raises(OSError, match=re.escape(str(gone))):
        Label(text="12.50", font_name=str(gone))
