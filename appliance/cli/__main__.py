"""pumpctl: the pump from a terminal or a script."""

from __future__ import annotations

import click

from appliance import __version__
from appliance.cli.bench import bench
from appliance.cli.bolus import bolus
from appliance.cli.cartridge import cartridge
from appliance.cli.commands import ack, limits, rearm, resume, stop, suspend
from appliance.cli.glucose import glucose
from appliance.cli.insulin import insulin
from appliance.cli.keeping import keeper
from appliance.cli.offline.calc import calc
from appliance.cli.offline.check_config import check_config
from appliance.cli.offline.curve import curve
from appliance.cli.offline.hardware import hardware
from appliance.cli.offline.simulate import simulate
from appliance.cli.offline.take_away import export, report
from appliance.cli.offline.verify import verify
from appliance.cli.pin import pin
from appliance.cli.profiles import basal
from appliance.cli.reading import alarms, dose, history, status
from appliance.cli.remind import remind
from appliance.cli.session import Pumpctl, Session, with_dir
from appliance.cli.signals import alerts, check_signals, silence
from appliance.cli.summing import days, summary
from appliance.cli.temp import quick, temp


@click.group(
    cls=Pumpctl, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@with_dir
@click.version_option(__version__, prog_name="pumpctl")
@click.pass_context
def pumpctl(context: click.Context) -> None:
    """Command a Benchpump: an insulin pump for the bench, for water only.

    Without --dir it finds the one running demo, or this machine's pump. Amounts are units (U),
    rates units an hour (U/h). Every verb that reads has --json.

    \b
    Exit status: 0 done             1 refused, every reason printed
                 2 wrong words      3 no pump
                 4 uncertain: look it up, never repeat it
    """
    context.ensure_object(Session)


for verb in (
    status,
    bolus,
    stop,
    suspend,
    resume,
    rearm,
    basal,
    temp,
    quick,
    insulin,
    glucose,
    limits,
    cartridge,
    history,
    days,
    summary,
    keeper,
    dose,
    alarms,
    ack,
    silence,
    check_signals,
    alerts,
    pin,
    remind,
):
    pumpctl.add_command(verb)
for verb in (verify, export, report, check_config, hardware, calc, curve, simulate, bench):
    pumpctl.add_command(verb)


def main() -> None:
    """Run pumpctl with the words of the command line."""
    pumpctl(prog_name="pumpctl")


if __name__ == "__main__":
    main()
