"""The snapshot: what clients see, built anew each time, so nobody ever holds a live object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from appliance.domain.limits import DAY_NS, HOUR_NS, left_uu
from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_S
from appliance.engine.alarms import AlarmBoard
from appliance.engine.basal import Basal
from appliance.engine.bolus import BolusDesk
from appliance.engine.context import Context
from appliance.engine.messages import CheckResult
from appliance.engine.motor import Motor, Phase
from appliance.engine.onboard import OnBoardDesk
from appliance.engine.temp import TempBasal
from appliance.records import Realtime


def snapshot_of(
    context: Context,
    *,
    sequence: int,
    state: PumpState,
    why: Sequence[str],
    motor: Motor,
    basal: Basal,
    temp: TempBasal,
    desk: BolusDesk,
    on_board: OnBoardDesk,
    alarms: AlarmBoard,
    lines: Sequence[CheckResult],
    realtime: Realtime | None,
    guard_pid: int,
) -> dict[str, Any]:
    """Return the pump's state as plain data: text, integers, booleans, lists and maps."""
    machine, book, limits = context.machine, context.book, context.limits
    past = desk.past()
    bolus = book.doses.get(desk.job.request_id) if desk.job else None
    pids = dict(machine.pids)
    if realtime is not None and motor.phase is not Phase.OFF:
        pids["pump-stepper"] = realtime.pid
    if guard_pid:
        pids["pump-guard"] = guard_pid
    return {
        "sequence": sequence,
        "pump": machine.name,
        "fluid": machine.fluid,
        "bench": machine.bench,
        "speed": machine.speed,
        "version": machine.version,
        "uptime_s": (context.now_ns - context.start_ns) // NS_PER_S,
        "state": state.value,
        "why": list(why) if state in (PumpState.INHIBITED, PumpState.FAULTED) else [],
        "basal_uu_per_h": basal.rate_uu_per_h(),
        "scheduled_uu_per_h": basal.scheduled_uu_per_h(),
        "basal_held": basal.held_since_ns is not None,
        "temp": temp.shown(basal.scheduled_uu_per_h()),
        "reservoir_uu": context.reservoir_uu,
        "delivering": motor.phase is Phase.ACTIVE and bool(motor.jobs),
        "bolus": desk.live_record(bolus) if bolus is not None else None,
        "iob_uu": on_board.shown(),
        "extended": desk.shown_extended(),
        "quick_step_uu": book.settings.get("quick_step_uu"),
        "motor": motor.snapshot(),
        "confirmed_steps": book.confirmed_steps,
        "maximum_steps": book.maximum_steps + context.uncounted_steps(),
        "alarms": alarms.listed(),
        "pids": pids,
        "clock": {
            "utc_ns": context.utc_ns,
            "offset_s": context.reading.offset_s,
            "quality": context.reading.quality.value,
        },
        "limits": asdict(limits) if limits else None,
        "left_60_min_uu": _left(past, context, HOUR_NS, limits.hourly_uu if limits else 0),
        "left_24_h_uu": _left(past, context, DAY_NS, limits.daily_uu if limits else 0),
        "force_mn": context.force_mn,
        "realtime": {
            "fifo": bool(realtime.fifo) if realtime else False,
            "memory_locked": bool(realtime.memory_locked) if realtime else False,
        },
        "live_stop": machine.stop_button,
        "weaker": list(machine.weaker),
        "ledger": {
            "seq": book.seq,
            "head": context.head.hex(),
            "trouble": context.trouble,
        },
        "self_test": [{"name": one.name, "ok": one.ok, "text": one.text} for one in lines],
    }


def _left(past: Sequence[Any], context: Context, window_ns: int, limit_uu: int) -> int:
    return left_uu(past, now_ns=context.now_ns, window_ns=window_ns, limit_uu=limit_uu)
