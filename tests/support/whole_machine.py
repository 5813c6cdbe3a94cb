"""A whole Debian with systemd in QEMU, worked from outside through its guest agent.

The disk is a throw-away layer over the cached image of ``tools/vm_image.sh``; two others hold what
``install.sh prepare`` made, and the sources. No network. ``cut`` is a power cut: the emulator is
killed, and the disk holds what the guest had written to it, and nothing of what it had not.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PARTS = (
    "appliance", "drivers", "ui", "systemd", "docs", "requirements", "tools",
    "pyproject.toml", "install.sh", "README.md", "CHANGELOG.md", "LICENSE",
)  # fmt: skip
UP_S = 600.0
# Without AVX: shaders compiled to it kill the touchscreen under QEMU 7.2 (decision 0063).
_PROCESSOR = "max,avx=off,avx2=off,f16c=off,fma=off,vaes=off,vpclmulqdq=off"
# What is emulated has a clock that counts its own instructions, one a nanosecond while it is busy:
# a slow PC makes it slow and never late. QEMU brings only one processor through a boot that way.
_WORDS = {
    "kvm": ("-accel", "kvm", "-cpu", "host", "-smp", "2"),
    "tcg": (
        *("-accel", "tcg,thread=single,tb-size=512", "-cpu", _PROCESSOR, "-smp", "1"),
        *("-icount", "shift=0,sleep=on"),
    ),
}
_PROBE_S = 10.0
# Each question to the agent is a line in the machine's log: a slow machine is kept busy by many.
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0


class GuestFailed(AssertionError):
    """A command in the guest ended with another status than it should."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command of the guest said, and its status."""

    status: int
    out: str


def lacking(word: str, *needs: tuple[str, str]) -> str:
    """Return what is missing for ``./install.sh test WORD``, with what would bring it; or nothing.

    ``needs`` are programs beside those that every machine needs, each with its package.
    """
    if os.geteuid() != 0:
        return f"needs root, which makes the disk: sudo ./install.sh test {word}"
    always = (("qemu-img", "qemu-utils"), ("mmdebstrap", "mmdebstrap"))
    missing = [package for program, package in (*needs, *always) if shutil.which(program) is None]
    return f"needs {' '.join(missing)}; apt-get install {' '.join(missing)}" if missing else ""


def image_of(name: str) -> Path:
    """Return the folder of the image, made now where it is missing or old (minutes)."""
    done = subprocess.run(
        [ROOT / "tools" / "vm_image.sh", name],
        capture_output=True,
        text=True,
        timeout=3_000,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"no image of {name}:\n{done.stderr[-4_000:]}")
    return Path(done.stdout.strip().splitlines()[-1])


@cache
def accelerator_for(image: Path) -> str:
    """Return "kvm" where a kernel says something under it within seconds, else "tcg".

    A ``/dev/kvm`` that is there may still emulate the BIOS instruction by instruction, for hours.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    probe = subprocess.Popen(
        [
            *("qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "256", "-no-reboot"),
            *("-display", "none", "-vga", "none", "-nic", "none", "-monitor", "none"),
            *("-kernel", image / "vmlinuz", "-append", "console=ttyS0 panic=-1"),
            *("-serial", "stdio"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert probe.stdout is not None
    try:
        ready, _, _ = select.select([probe.stdout], [], [], _PROBE_S)
        return "kvm" if ready and probe.stdout.read(1) else "tcg"
    finally:
        probe.kill()
        probe.wait()
        probe.stdout.close()


def sources(tree: Path) -> None:
    """Copy the project's own files into a new folder."""
    shutil.rmtree(tree, ignore_errors=True)
    for part in PARTS:
        source, target = ROOT / part, tree / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, target, ignore=ignored)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def write_tree(image: Path, tree: Path, target: str) -> None:
    """Write a folder into an ext4 image that nobody uses."""
    words = [f"mkdir {target}"]
    for path in sorted(tree.rglob("*")):
        inside = f"{target}/{path.relative_to(tree)}"
        words.append(f"mkdir {inside}" if path.is_dir() else f"write {path} {inside}")
    debugfs = ("debugfs", "-w", "-f", "/dev/stdin", image)
    done = subprocess.run(
        debugfs,
        input="\n".join(words) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = [line for line in done.stderr.splitlines() if not line.startswith("debugfs 1.")]
    assert wrong == [], wrong[:5]


class Machine:
    """One machine; its disk stays from start to start. Here a PC; a Pi is made of it.

    ``before``, ``bolus_after_s`` and ``install_s`` are the tests' own: the machine as it was before
    anything was installed, when the next bolus may begin, and how long an installation takes.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._image = image_of(name)
        self._folder = folder
        self._agent_path = folder / "agent.sock"
        self.console = folder / "console.log"
        self._qemu: subprocess.Popen[bytes] | None = None
        self._agent: socket.socket | None = None
        self._pending = b""
        self.before: list[str] = []
        self.bolus_after_s = 0.0
        self.install_s = 0.0

    def emulator(self) -> list[str | Path]:
        """Return the emulator's command, with the agent's line as the chardev ``agent``."""
        raise NotImplementedError

    # -------------------------------------------------------------- power

    def start(self) -> None:
        """Switch it on and wait until it is up."""
        self._power_on()
        self.wait_up()

    def _power_on(self) -> None:
        self._agent_path.unlink(missing_ok=True)
        words = [
            *self.emulator(),
            *("-display", "none", "-nic", "none", "-monitor", "none"),
            *("-chardev", f"socket,id=agent,path={self._agent_path},server=on,wait=off"),
        ]
        self._qemu = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def wait_up(self, timeout_s: float = UP_S) -> None:
        """Wait until systemd has started what is to be started. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, TimeoutError, GuestFailed):
                self._connect()
                state = self.sh("systemctl is-system-running || true", timeout_s=30.0).out.strip()
                if state in ("running", "degraded"):
                    return
            time.sleep(1.0)
        raise TimeoutError(f"not up within {timeout_s:.0f} s; see {self.console}")

    def reboot(self) -> None:
        """Restart it as a person would, and wait until it is up again."""
        before = self.boot_id()
        self.begin("systemctl --no-block reboot")  # whose end the agent may not live to tell
        self.wait_for_another_boot(before)

    def wait_for_another_boot(self, boot_id: str, timeout_s: float = UP_S) -> None:
        """Wait until it is up, in another boot than ``boot_id``. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, TimeoutError, GuestFailed):
                self.wait_up(max(1.0, deadline - time.monotonic()))
                if self.boot_id() != boot_id:
                    return
            time.sleep(1.0)
        raise TimeoutError(f"no other boot within {timeout_s:.0f} s; see {self.console}")

    def boot_id(self) -> str:
        return self.sh("cat /proc/sys/kernel/random/boot_id").out.strip()

    def cut(self) -> None:
        """Cut the power."""
        self._hang_up()
        if self._qemu is not None:
            self._qemu.send_signal(signal.SIGKILL)
            self._qemu.wait()
            self._qemu = None

    def _hang_up(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None
        self._pending = b""

    # -------------------------------------------------------------- the guest agent

    def _connect(self) -> None:
        self._hang_up()
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        agent.settimeout(60.0)
        self._agent = agent
        try:
            agent.connect(str(self._agent_path))
            token = time.monotonic_ns() % 2**31
            # The byte 0xff has the agent forget half a request of an earlier connection.
            agent.sendall(
                b"\xff"
                + json.dumps(
                    {"execute": "guest-sync-delimited", "arguments": {"id": token}}
                ).encode()
                + b"\n"
            )
            while b"\xff" not in self._pending:
                self._more()
            self._pending = self._pending.rpartition(b"\xff")[2]
            if self._line() != {"return": token}:
                raise OSError("the agent answers something else")
        except BaseException:
            self._hang_up()
            raise

    def _more(self) -> None:
        assert self._agent is not None
        data = self._agent.recv(65_536)
        if not data:
            raise ConnectionResetError("the agent has gone")
        self._pending += data

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._pending:
            self._more()
        line, _, self._pending = self._pending.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _call(self, verb: str, **arguments: object) -> Any:
        if self._agent is None:
            self._connect()
        assert self._agent is not None
        try:
            self._agent.sendall(
                json.dumps({"execute": verb, "arguments": arguments}).encode() + b"\n"
            )
            found = self._line()
        except OSError:
            self._hang_up()
            raise
        if "return" not in found:
            raise OSError(f"{verb}: {found}")
        return found["return"]

    def begin(self, script: str) -> int:
        """Start a script in the guest, as root; return its number for ``end``."""
        found = self._call(
            "guest-exec",
            **{
                "path": "/bin/bash",
                "arg": ["-c", f"exec 2>&1; {script}"],
                "env": [
                    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOME=/root",
                    "LC_ALL=C.UTF-8",
                ],
                "capture-output": True,
            },
        )
        return int(found["pid"])

    def end(self, number: int, timeout_s: float = 120.0) -> Said:
        """Wait for a script that was begun. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        pause_s = _PAUSE_S
        while time.monotonic() < deadline:
            found = self._call("guest-exec-status", pid=number)
            if found["exited"]:
                raw = base64.b64decode(found.get("out-data", ""))
                return Said(found.get("exitcode", -1), raw.decode("utf-8", "replace"))
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        raise TimeoutError(f"a script did not end within {timeout_s:.0f} s")

    def sh(self, script: str, *, timeout_s: float = 120.0, check: bool = True) -> Said:
        """Run a script in the guest, as root. Raises GuestFailed where it fails and ``check``."""
        said = self.end(self.begin(script), timeout_s)
        if check and said.status != 0:
            raise GuestFailed(f"status {said.status}: {script}\n{said.out[-4_000:]}")
        return said

    def json(self, script: str, *, timeout_s: float = 120.0) -> Any:
        """Run a script and return the JSON that it prints."""
        return json.loads(self.sh(script, timeout_s=timeout_s).out)


class Pc(Machine):
    """A PC with the simulated bench; what the guest writes to its port ``oracle`` lands outside."""

    def __init__(self, suite: str, folder: Path) -> None:
        super().__init__(suite, folder)
        self._oracle_path = folder / "oracle"
        self._disk = folder / "disk.qcow2"
        self._sources = folder / "sources.raw"
        sources(folder / "sources")
        disk = ("mke2fs", "-q", "-t", "ext4", "-L", "sources", "-d", folder / "sources")
        subprocess.run([*disk, self._sources, "64M"], check=True)
        layer = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b")
        subprocess.run([*layer, self._image / "disk.raw", self._disk], check=True)
        self.accelerator = accelerator_for(self._image)

    def emulator(self) -> list[str | Path]:
        return [
            *("qemu-system-x86_64", *_WORDS[self.accelerator], "-m", "1024", "-vga", "none"),
            *("-kernel", self._image / "vmlinuz", "-initrd", self._image / "initrd"),
            *("-append", "console=ttyS0 root=/dev/vda rw panic=-1 quiet systemd.show_status=0"),
            *("-drive", f"file={self._disk},format=qcow2,if=virtio,cache=writeback"),
            *("-drive", f"file={self._image}/prepared.raw,format=raw,if=virtio,read-only=on"),
            *("-drive", f"file={self._sources},format=raw,if=virtio,read-only=on"),
            *("-device", "i6300esb", "-action", "watchdog=reset"),
            *("-device", "virtio-serial"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-device", "virtserialport,chardev=oracle,name=oracle"),
            *("-chardev", f"file,id=oracle,path={self._oracle_path},append=on"),
            *("-serial", f"file:{self.console}"),
        ]

    def oracle(self) -> list[str]:
        """Return the whole lines that the guest has written to its port ``oracle``."""
        with contextlib.suppress(FileNotFoundError):
            return self._oracle_path.read_text("utf-8", "replace").split("\n")[:-1]
        return []


class KioskPc(Pc):
    """A PC with a graphics card and a screen of 800 x 480, which is looked at from outside."""

    def __init__(self, folder: Path) -> None:
        super().__init__("kiosk", folder)
        self._monitor_path = folder / "monitor.sock"

    def emulator(self) -> list[str | Path]:
        return [
            *super().emulator(),
            *("-device", "virtio-gpu-pci,xres=800,yres=480"),
            *("-qmp", f"unix:{self._monitor_path},server=on,wait=off"),
        ]

    def picture(self, path: Path) -> None:
        """Save what the screen shows as a PNG. Raises OSError where the emulator refuses."""
        where = {"filename": str(path), "format": "png"}
        words = ({"execute": "qmp_capabilities"}, {"execute": "screendump", "arguments": where})
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(60.0)
            line.connect(str(self._monitor_path))
            with line.makefile("rw", encoding="utf-8") as monitor:
                for one in words:
                    monitor.write(json.dumps(one) + "\n")
                    monitor.flush()
                    answer: dict[str, Any] = {}
                    while not answer.keys() & {"return", "error"}:  # it greets, and tells of events
                        answer = json.loads(monitor.readline())
                    if "error" in answer:
                        raise OSError(answer["error"])
