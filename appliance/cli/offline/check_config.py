"""``pumpctl check-config``: read a configuration as the programs do, and name every fault of it."""

from __future__ import annotations

from pathlib import Path

import click

from appliance.cli.session import Exit, end, print_json, safe, with_json
from appliance.config import load
from appliance.errors import BadConfiguration


@click.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
@with_json
def check_config(file: Path, *, as_json: bool) -> None:
    """Check a configuration FILE; needs no pump.

    Prints "ok", or every fault with its field, value and range; ends with 0 or 1.
    """
    faults: list[str] = []
    digest = None
    try:
        _, digest = load(file)
    except BadConfiguration as bad:
        faults = bad.faults
    if as_json:
        print_json({"ok": not faults, "file": str(file), "sha256": digest, "faults": faults})
    elif not faults:
        click.echo("ok")
    for fault in [] if as_json else faults:
        click.echo(safe(f"{file}: {fault}"))
    end(Exit.REFUSED if faults else Exit.DONE)
