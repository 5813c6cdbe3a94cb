"""``pumpctl hardware check``: every wire, with a person's help, while the pump is stopped."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.adapters.clock import real_monotonic_ns, real_sleep
from appliance.cli.session import Exit, end, print_json, safe, with_json
from appliance.config import Config, load
from appliance.errors import BadConfiguration, PinFault

if TYPE_CHECKING:
    from drivers.check import HardwareCheck

_CONFIGURATION = Path("/etc/benchpump/benchpump.toml")
_NS_PER_S = 1_000_000_000


@click.group("hardware")
def hardware() -> None:
    """Bring a machine up: its wires, one by one."""


class AtTheBench:
    """The person at this terminal; everybody's word is on the standard error, the JSON alone is
    not.
    """

    def confirms(self, question: str) -> bool:
        return click.confirm(question, err=True)

    def is_told(self, text: str) -> None:
        click.echo(text, err=True)


@hardware.command("check")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=_CONFIGURATION,
    show_default=True,
    help="The machine's configuration.",
)
@click.option("--jog/--no-jog", default=True, help="Try the motor too (the default).")
@click.option(
    "--patience",
    "patience_s",
    type=click.IntRange(1, 600),
    default=20,
    show_default=True,
    help="Seconds to wait for a hand at the end stop, or at the button.",
)
@with_json
def check(config: Path, *, jog: bool, patience_s: int, as_json: bool) -> None:
    """Look at every line of the machine, and ask what was seen and heard.

    The pump has to be stopped (systemctl stop pumpd pump-guard), and no syringe may be in: the last
    look moves the carriage a little. Ends with 0 where all is right.
    """
    try:
        machine, _ = load(config)
    except BadConfiguration as bad:
        for fault in bad.faults:
            click.echo(safe(f"{config}: {fault}"), err=True)
        end(Exit.REFUSED)
    person = AtTheBench()
    click.echo("BENCH use only. Take the syringe out.", err=True)
    if jog and not person.confirms("Is the syringe out, and may the carriage move?"):
        jog = False
    looks = []
    try:
        with ExitStack() as stack:
            checking = _checking(machine, person, patience_s, stack)
            for look in checking.looks(jog=jog):
                looks.append(look)
                if not as_json:
                    click.echo(f"  {'ok ' if look.ok else 'NOT'}  {look.name}: {look.text}")
    except PinFault as fault:
        click.echo(safe(f"pumpctl: {fault.code}: {fault}"), err=True)
        click.echo("  Is the pump stopped? systemctl stop pumpd pump-guard", err=True)
        end(Exit.REFUSED)
    right = all(look.ok for look in looks)
    if as_json:
        shown = [{"name": one.name, "ok": one.ok, "text": one.text} for one in looks]
        print_json({"ok": right, "jog": jog, "looks": shown})
    end(Exit.DONE if right else Exit.REFUSED)


def _checking(
    machine: Config, person: AtTheBench, patience_s: int, stack: ExitStack
) -> HardwareCheck:
    """Build every line; all are given back with ``stack``. Raises PinFault."""
    # Here, since every other verb needs no pin.
    from drivers.battery import BenchCells, gauge_of
    from drivers.check import HardwareCheck, Wiring
    from drivers.factory import build_factory

    runtime, pins, table, safety = (
        machine.paths.runtime,
        machine.pins,
        machine.mechanics,
        machine.safety,
    )
    factories = build_factory(
        pins.factory,
        owner="pumpctl-hardware",
        now_ns=real_monotonic_ns,
        bench_socket=runtime / "pins.sock",
        work_dir=runtime if pins.factory != "bench" else None,
    )
    stack.callback(factories.close)
    gauge = None
    if (battery := machine.battery) is not None and battery.kind != "none":
        gauge = gauge_of(
            battery.kind,
            lambda: BenchCells(factories.inputs.sample),
            bus=battery.i2c_bus,
            address=battery.i2c_address,
            empty_mv=battery.empty_mv,
            full_mv=battery.full_mv,
        )
    wires = {name: number for name, number in pins if isinstance(number, int)}
    checking = HardwareCheck(
        factories,
        Wiring(
            **wires,
            direction_inverted=table.direction_inverted,
            min_interval_us=table.min_interval_us,
            step_pulse_us=table.step_pulse_us,
            has_readback=safety.readback == "required",
            has_one_shot=safety.one_shot == "present",
            has_stop_button=safety.stop_button,
        ),
        person,
        now_ns=real_monotonic_ns,
        patience_ns=patience_s * _NS_PER_S,
        sleep_ns=lambda duration_ns: real_sleep(duration_ns / _NS_PER_S),
        gauge=gauge,
    )
    stack.callback(checking.close)
    return checking
