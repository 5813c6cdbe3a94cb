"""Write ``docs/settings.md``: every setting with unit, range, default and what a wrong one says.

    tools/settings.py            writes the page
    tools/settings.py --check    says whether it is as it would be written

The messages are pumpctl's own, from the real server in front of a pump on the virtual bench.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support")]

from bench_pump import BenchPump, Wire, bench_pump  # noqa: E402

PAGE = ROOT / "docs/settings.md"
_FILE = "{FILE}"
_PROFILE = '[[segments]]\nstart = "00:00"\nrate = "1"\n'


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: ``words`` are pumpctl's, with ``{}`` for the value.

    ``good`` are the ends of its range, ``wrong`` lies outside, the first of them is shown.
    ``says`` must all stand in each message: the field and the range. ``tried`` says that the ends
    are set in the test too. Where ``file`` is given it is the text of the file that the words name.
    """

    group: str
    name: str
    words: str
    unit: str
    good: tuple[str, ...]
    wrong: tuple[str, ...]
    default: str
    says: tuple[str, ...]
    file: str = ""
    tried: bool = True
    suspended: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    range: str = ""

    @property
    def shown_range(self) -> str:
        """Return the range as the page shows it."""
        return self.range or " to ".join(self.good)


def _limits(name: str, option: str, unit: str, ends: tuple[str, str], wrong: tuple[str, ...],
            says: tuple[str, ...], default: str) -> Setting:  # fmt: skip
    words = f"limits set {option} {{}}"
    return Setting("Limits", name, words, unit, ends, wrong, f"none; {default} is usual", says)


def _segment(name: str, key: str, unit: str, ends: tuple[str, str], wrong: tuple[str, ...],
             says: tuple[str, ...], default: str = "none") -> Setting:  # fmt: skip
    text = f'name = "T"\n{_PROFILE}{key} = "{{}}"\n'
    if key == "rate":
        text = text.replace('rate = "1"\n', "")
    words = f"basal import {_FILE} --replace --yes"
    return Setting("Basal profiles", name, words, unit, ends, wrong, default, says, text)


SETTINGS: tuple[Setting, ...] = (
    _limits("largest bolus", "--max-bolus", "U", ("0.05", "25"), ("25.01", "0.04"),
            ("max_bolus_uu", "50000 to 25000000"), "10"),
    _limits("most in any 60 min", "--hourly", "U", ("0.05", "60"), ("60.01", "0.04"),
            ("hourly_uu", "50000 to 60000000"), "15"),
    _limits("most in any 24 h", "--daily", "U", ("60", "300"), ("300.01",),
            ("daily_uu",), "60"),
    _limits("highest basal rate", "--max-basal", "U/h", ("1", "35"), ("35.001",),
            ("max_basal_uu_per_h", "0 to 35000000"), "5"),
    _limits("least time between two boluses", "--min-interval", "s", ("10", "3600"),
            ("9", "3601", "-1", "99999"), ("min_interval_s", "10 to 3600"), "60"),
    _segment("rate of a segment", "rate", "U/h", ("0.025", "35"), ("0.024", "35.001"),
             ("rate_uu_per_h", "0.025 U/h to 35.000 U/h"), "-"),
    Setting("Basal profiles", "start of a segment", f"basal import {_FILE} --replace --yes",
            "time of day", ("00:30", "23:59"), ("24:00",), "-", ("start", "23:59"),
            f'name = "T"\n{_PROFILE}[[segments]]\nstart = "{{}}"\nrate = "1"\n'),
    _segment("carb ratio of a segment", "carb_ratio", "g/U", ("1", "150"), ("151", "0.9"),
             ("carb_ratio", "1000 to 150000")),
    _segment("sensitivity of a segment", "sensitivity", "mg/dL per U", ("1", "400"),
             ("401",), ("sensitivity", "1 to 400")),
    _segment("target of a segment", "target", "mg/dL", ("60", "250"), ("59", "251"),
             ("target", "60 to 250")),
    Setting("Basal profiles", "name of a profile", "basal copy Day {}", "characters",
            ("N", "12345678901234567890"), ("123456789012345678901",), "-",
            ("name", "1 to 20 printable characters"), range="1 to 20"),
    Setting("Temporary basal", "percentage", "temp {} --for 30m", "%", ("0%", "250%"),
            ("251%",), "-", ("percent", "0 to 250")),
    Setting("Temporary basal", "rate", "temp {} --for 30m", "U/h", ("0.025", "35"),
            ("0.024", "35.001"), "-", ("rate_uu_per_h", "0, or 25000 to 35000000"),
            range="0, or 0.025 to 35"),
    Setting("Temporary basal", "time", "temp 90% --for {}", "time", ("15m", "24h"),
            ("14m", "25h", "300h"), "-", ("duration_s", "900 to 86400")),
    Setting("Temporary basal", "percentage of a preset", "temp save P {} --for 1h", "%",
            ("0%", "250%"), ("251%",), "-", ("percent", "0 to 250")),
    Setting("Bolus", "amount", "bolus {} --yes --no-wait", "U", ("0.05", "25"),
            ("25.01", "0.04"), "-", ("amount_uu", "0.05 U to 25.00 U"),
            range="0.05 to the largest bolus"),
    Setting("Bolus", "extended part", "bolus 2 --extend {} --over 1h --yes --no-wait", "U",
            ("0.05", "2"), ("2.01",), "none", ("extended_uu", "50000 to 2000000"),
            range="0.05 to the whole"),
    Setting("Bolus", "time of the extended part",
            "bolus 2 --extend 1 --over {} --yes --no-wait", "time", ("15m", "8h"),
            ("14m", "9h", "300h"), "-", ("duration_s", "900 to 28800")),
    Setting("Bolus", "speed", "bolus 0.1 --speed {} --yes --no-wait", "", ("slow", "fast"),
            ("warp",), "normal", ("--speed", "'fast', 'normal', 'slow'"),
            range="slow, normal, fast"),
    Setting("Bolus", "step of the quick bolus", "quick set {}", "U", ("0.05", "5"),
            ("5.01", "0.04"), "none", ("step_uu", "50000 to 5000000")),
    Setting("Alerts", "low reservoir", "alerts set --low {}", "U", ("10", "50"),
            ("9.99", "50.01"), "20", ("low_reservoir_uu", "10000000 to 50000000")),
    Setting("Alerts", "low reservoir by hours", "alerts set --low-hours {}", "h", ("0", "72"),
            ("73", "-1", "5000"), "0 (off)", ("low_reservoir_h", "1 to 72, or 0 for off"),
            range="1 to 72, 0 is off"),
    Setting("Alerts", "auto-off", "alerts set --auto-off {}", "h", ("5", "24"),
            ("4", "25", "5000"), "0 (off)", ("auto_off_h", "5 to 24, or 0 for off"),
            range="5 to 24, 0 is off"),
    Setting("Reminders", "check glucose after a bolus", "remind set --glucose {}", "min",
            ("30", "240"), ("29", "241", "5000"), "0 (off)",
            ("glucose_min", "30 to 240, or 0 for off"), range="30 to 240, 0 is off"),
    Setting("Reminders", "change the site", "remind set --site {}", "days", ("1", "7"),
            ("8", "-1", "31"), "0 (off)", ("site_days", "1 to 7, or 0 for off"),
            range="1 to 7, 0 is off"),
    Setting("Reminders", "time of day for the site", "remind set --site-at {}", "time of day",
            ("00:00", "23:59"), ("24:00",), "10:00", ("--site-at", '"00:00" to "23:59"')),
    Setting("Reminders", "meal window", "remind set --meal {}", "times of day",
            ("00:00-00:01", "00:00-23:59"), ("12:00-12:00",), "none",
            ("meals[0].to_min", "721 to 1439"), range="up to 4, each ends later than it begins"),
    Setting("Reminders", "personal", "remind set --at {}", "", ("00:00·walk", "23:59·walk"),
            ("24:00·walk",), "none", ("--at", '"00:00" to "23:59"'),
            range="up to 8, a time of day and 1 to 40 characters"),
    Setting("Reminders", "snooze", "remind snooze {}", "min", ("5", "240"), ("4", "241"), "15",
            ("MINUTES", "5<=x<=240"), tried=False),
    Setting("Lock", "PIN", "pin set", "digits", ("123456", "123456789012"),
            ("12345", "1234567890123", "12345a"), "none", ("PIN", "6 to 12 digits"),
            range="6 to 12", tried=False),
    Setting("Insulin on board", "model", "insulin set {}", "", ("rapid", "bilinear --duration 3h"),
            ("nothing",), "rapid", ("model", "rapid, child, fast"),
            range="see [reference](reference.md#1-pumpctl)"),
    Setting("Insulin on board", "duration", "insulin set exponential --peak 25m --duration {}",
            "time", ("1h", "12h"), ("59m", "13h", "200h"), "6 h (rapid)",
            ("duration_min", "60 to 720")),
    Setting("Insulin on board", "peak", "insulin set exponential --duration 6h --peak {}", "time",
            ("5m", "179m"), ("4m", "3h"), "75 min (rapid)", ("peak_min", "5 to 179"),
            range="5 min to below half the duration"),
    Setting("Insulin on board", "delay", "insulin set rapid --delay {}", "time", ("0m", "30m"),
            ("31m",), "0", ("delay_min", "0 to 30")),
    Setting("Glucose", "fingerstick", "glucose {}", "mg/dL", ("20", "600"), ("19", "601"), "-",
            ("glucose", "20 to 600")),
    Setting("Glucose", "low threshold", "glucose set --period 00:00·{}-200", "mg/dL", ("60", "120"),
            ("59", "121"), "70", ("low_mg_dl", "60 to 120"), range="60 to 120, 0 is off"),
    Setting("Glucose", "high threshold", "glucose set --period 00:00·80-{}", "mg/dL",
            ("120", "400"), ("119", "401"), "250", ("high_mg_dl", "120 to 400"),
            range="120 to 400, 0 is off"),
    Setting("Glucose", "alert of a predicted low", "glucose set --predicted {}", "min",
            ("10", "30"), ("9", "31"), "20", ("predicted_min", "10 to 30"),
            range="10 to 30, 0 is off"),
    Setting("Glucose", "alert of a fast change", "glucose set --fast {}", "mg/dL a minute",
            ("2", "3"), ("4",), "3", ("--fast", "'0', '2', '3'"), range="2, 3, 0 is off"),
    Setting("Glucose", "protection", "glucose set --protection {}", "", ("off", "low"), ("warp",),
            "off", ("--protection", "before-low"), tried=False,
            range="off, low, predictive, before-low"),
    Setting("Glucose", "limit of protection", "glucose set --protection low --limit {}", "mg/dL",
            ("40", "110"), ("39", "111"), "the rule's", ("protection_limit_mg_dl", "40 to 110"),
            tried=False),
    Setting("Glucose", "snooze", "glucose snooze {}", "min", ("5", "240"), ("4", "241"), "30",
            ("MINUTES", "5<=x<=240"), tried=False),
    Setting("Cartridge and set", "what is loaded", "cartridge load {}", "U", ("0.01", "300"),
            ("300.01",), "none", ("amount_uu", "up to 300000000"), suspended=True),
    Setting("Cartridge and set", "size of the cartridge", "cartridge load 10 --size {}", "U",
            ("10", "300"), ("300.01",), "the machine's", ("size_uu", "up to 300000000"),
            suspended=True),
    Setting("Cartridge and set", "kind of fluid", "cartridge load 10 --kind {}", "",
            ("rapid", "test"), ("honey",), "test", ("kind", "rapid, test"),
            suspended=True, range="rapid, test"),
    Setting("Cartridge and set", "prime", "cartridge prime {} --yes", "U", ("0.05", "10"),
            ("10.01", "0.04"), "-", ("amount_uu", "0.05 U to 10.00 U"),
            suspended=True, tried=False),
    Setting("Cartridge and set", "fill the cannula", "cartridge cannula {} --yes", "U",
            ("0.05", "2"), ("2.01", "0.04"), "-", ("amount_uu", "0.05 U to 2.00 U"),
            suspended=True, tried=False),
    Setting("Cartridge and set", "site", "cartridge finish --site {}", "characters",
            ("x", "1234567890123456789012345678901234567890"),
            ("12345678901234567890123456789012345678901",), "the old one",
            ("site", "at most 40"), suspended=True, range="1 to 40"),
)  # fmt: skip

BY_SCREEN: tuple[tuple[str, str, str, str, str, object], ...] = (
    ("language", "preferences.set", "language", "en, de", "en", "fr"),
    ("look", "preferences.set", "theme", "dark, light", "dark", "pink"),
    ("speed that a bolus is proposed at", "preferences.set", "speed", "slow, normal, fast",
     "normal", "warp"),
    ("zone", "preferences.set", "zone", "of the tz database", "the machine's", "Mars/Olympus"),
    ("fluid", "preferences.set", "fluid", "rapid, test", "none", "honey"),
    ("size of the syringe, uU", "preferences.set", "syringe_uu", "1 to 300000000", "none",
     300_000_001),
    ("units of glucose", "glucose.set", "units", "mg/dL, mmol/L", "mg/dL", "stone"),
)  # fmt: skip
"""What the touchscreen and scripts set, with no verb of pumpctl: name, method, key, range, default
and a wrong one."""

_MACHINE: tuple[tuple[str, str, str, str, tuple[str, str]], ...] = (
    ("bore of the syringe", "bore_um", "um", "8660", ("999", "1000 to 40000")),
    ("lead of the screw", "lead_um", "um", "1000", ("20001", "100 to 20000")),
    ("steps of a turn", "full_steps", "", "200", ("19", "20 to 400")),
    ("microsteps of a step", "microsteps", "", "16", ("3", "1, 2, 4, 8, 16, 32, 64, 128, 256")),
    ("concentration", "concentration_u_per_ml", "U/mL", "100", ("501", "10 to 500")),
    ("shortest time between two steps", "min_interval_us", "us", "2000", ("99", "100 to 100000")),
    ("a lease", "lease_uu", "uU", "50_000", ("9999", "10000 to 100000")),
    ("push that is an occlusion", "threshold_mn", "mN", "12_000", ("499", "500 to 200000")),
    ("ceiling of a bolus", "max_bolus_uu", "uU", "25_000_000", ("25000001", "50000 to 25000000")),
    ("ceiling of 60 min", "hourly_uu", "uU", "60_000_000", ("60000001", "50000 to 60000000")),
    ("ceiling of 24 h", "daily_uu", "uU", "300_000_000", ("300000001", "50000 to 300000000")),
    ("ceiling of basal", "max_basal_uu_per_h", "uU/h", "35_000_000", ("35000001", "0 to 35000000")),
)


@contextmanager
def words_of(setting: Setting, value: str) -> Iterator[list[str]]:
    """Give pumpctl's words for a value; a file that they name is there meanwhile."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "profile.toml"
        if setting.file:
            file.write_text(setting.file.replace("{}", value))
        text = setting.words.replace("{}", value if not setting.file else "")
        yield [part.replace(_FILE, str(file)).replace("·", " ") for part in text.split()]


def ask(pump: BenchPump, setting: Setting, value: str) -> tuple[int, list[str]]:
    """Ask for a setting; return the exit status and the sentences that pumpctl says."""
    with words_of(setting, value) as words:
        result = pump.pumpctl(*words, BENCHPUMP_NEW_PIN=value)
    lines = [line.strip() for line in result.stderr.splitlines()]
    dull = ("", "pumpctl: refused", "Usage:", "Try 'pumpctl")
    said = [line for line in lines if line and not line.startswith(dull[1:])]
    said = [line.removeprefix("Error: ").removeprefix("pumpctl: ") for line in said]
    return result.exit_code, said


def machine_sentence(pump: BenchPump, key: str, value: str) -> list[str]:
    """Return what check-config says of a configuration in which one value is wrong."""
    example = (ROOT / "docs/benchpump.example.toml").read_text().splitlines()
    changed = [
        f"{key} = {value}" if line.startswith(f"{key} = ") else line for line in example
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "benchpump.toml"
        file.write_text("\n".join(changed))
        result = pump.pumpctl("check-config", str(file))
    lines = (result.stderr + result.stdout).splitlines()
    return [line.split("benchpump.toml: ")[-1].strip() for line in lines if key in line]


_HEAD = """# Settings

Written by `tools/settings.py` from the pump itself: every setting with its range, and what pumpctl
says of one that is wrong. A wrong one changes nothing: no row is written, and the settings are as
they were. Amounts in messages are microunits (1 U = 1,000,000), unless they name their unit. A
setting is changed by the role `settings` (temporary basal, boluses, the cartridge and snoozing by
`operate`), and waits for the PIN where there is one.""".splitlines()
_SCREEN_HEAD = """
## On the socket alone

What the touchscreen and scripts set ([reference](reference.md#3-the-sockets)).

""".splitlines()
_MACHINE_HEAD = """
## The machine

In `benchpump.toml`, read at the start; `pumpctl check-config FILE` says what is wrong in it, and a
pump with a wrong one does not come up. All keys: [the example](benchpump.example.toml).
""".splitlines()


def _table(second: str, fifth: str) -> list[str]:
    return [
        f"| setting | {second} | unit | range | {fifth} | a wrong one |",
        "|---|---|---|---|---|---|",
    ]


def page() -> str:
    """Return the page."""
    lines = [*_HEAD]
    group = ""
    with bench_pump() as running, bench_pump() as resting:
        resting.pumpctl("suspend")
        for one in SETTINGS:
            if one.group != group:
                group = one.group
                lines += ["", f"## {group}", "", *_table("with", "default")]
            _, said = ask(resting if one.suspended else running, one, one.wrong[0])
            verb = one.words.replace(_FILE, "FILE").replace("{}", "VALUE").replace(" --yes", "")
            verb = verb.replace(" --no-wait", "").replace(" --replace", "").replace("·", " ")
            cells = (one.name, f"`{verb}`", one.unit, one.shown_range, one.default, "; ".join(said))
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
        lines += [*_SCREEN_HEAD, *_table("key", "default")]
        wire = Wire(running.folder / "run/pumpd.sock")
        for name, method, key, shown, default, value in BY_SCREEN:
            reasons = wire.ask(method, {key: value})["error"]["data"]["reasons"]
            said = [one["text"] for one in reasons]
            cells = (name, f"`{method}` `{key}`", "", shown, default, "; ".join(said))
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
        wire.close()
        lines += [*_MACHINE_HEAD, *_table("key", "example")]
        for name, key, unit, default, (wrong, shown) in _MACHINE:
            said = machine_sentence(running, key, wrong)
            cells = (name, f"`{key}`", unit, shown, default, "; ".join(said))
            lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or "-"


def main() -> int:
    """Write the page, or compare it."""
    text = page()
    if sys.argv[1:] == ["--check"]:
        same = PAGE.read_text() == text
        print(
            "docs/settings.md is " + ("as it is written" if same else "not: run tools/settings.py")
        )
        return 0 if same else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
