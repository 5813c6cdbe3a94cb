"""Reads the machine's configuration for the guard: by the one reader, and once."""

from __future__ import annotations

from pathlib import Path

from appliance.config import load
from appliance.guard.facts import Facts


def read_facts(path: Path) -> Facts:
    """Return the guard's facts from the file at ``path``. Raises BadConfiguration."""
    config, _ = load(path)
    pins, table, safety = config.pins, config.mechanics, config.safety
    return Facts(
        zone=config.pump.zone,
        factory=pins.factory,
        enable_n=pins.enable_n,
        alive=pins.alive,
        readback=pins.readback if safety.readback == "required" else None,
        enable_feedback_n=pins.enable_feedback_n,
        stop_button_n=pins.stop_button_n if safety.stop_button else None,
        buzzer=pins.buzzer,
        lamp_high=pins.lamp_high,
        lamp_medium=pins.lamp_medium,
        lamp_low=pins.lamp_low,
        one_shot=safety.one_shot == "present",
        bore_um=table.bore_um,
        lead_um=table.lead_um,
        full_steps=table.full_steps,
        microsteps=table.microsteps,
        concentration_u_per_ml=table.concentration_u_per_ml,
        hourly_uu=config.ceilings.hourly_uu,
        state=str(config.paths.guard),
        runtime=str(config.paths.runtime),
    )
