"""The pump as a Python object: what a screen, a terminal, the keeper or a user's script holds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from uuid import uuid4

from pydantic import BaseModel

from appliance import __version__
from appliance.client.errors import NoPump, OutcomeUnknown, PumpError, Refused
from appliance.client.messages import (
    COLUMNS,
    NO_SUCH_DOSE,
    PIN_NEEDED,
    PUMP_METHODS,
    Alarm,
    AlarmsAcknowledgeParams,
    AlertsSetParams,
    Basal,
    BasalCopyParams,
    BasalImportParams,
    BasalUseParams,
    BolusDeliverParams,
    BolusReviewParams,
    CartridgeFinishParams,
    CartridgeLoadParams,
    CartridgePrepareParams,
    CartridgeRunParams,
    CartridgeStep,
    Dose,
    DoseLookupParams,
    FullSegment,
    Glucose,
    GlucoseEnterParams,
    GlucoseReportParams,
    GlucoseSetParams,
    GlucoseShown,
    GlucoseSnoozeParams,
    Insulin,
    InsulinParams,
    LedgerReportParams,
    Limits,
    LimitsShown,
    Method,
    Nothing,
    PinClearParams,
    PinSetParams,
    PinUnlockParams,
    PreferencesSetParams,
    Presets,
    QuickParams,
    RemindersSetParams,
    RemindersSnoozeParams,
    Review,
    Segment,
    SegmentShown,
    SensorReading,
    SignalsConfirmParams,
    Snapshot,
    Speed,
    StopParams,
    StopWhat,
    TempKind,
    TempPresetParams,
    TempPresetStartParams,
    TempStarted,
    TempStartParams,
    TouchReportParams,
    TouchStuck,
)
from appliance.client.rpc import RpcClient
from appliance.errors import ProtocolFault

SILENCE_S = 3.0
"""After this long without a snapshot (one comes each second) the pump counts as silent."""


Found = TypeVar("Found")


def new_request_id() -> str:
    """Make the id of a dose: once, when its review opens; it never changes after that (SR-37)."""
    return str(uuid4())


class PinClient(RpcClient):
    """Calls that give the PIN where a setting waits for it: once for each refusal."""

    def __init__(
        self,
        path: Path | str,
        methods: Sequence[Method],
        *,
        client: str,
        pin: Callable[[], str] | None,
    ) -> None:
        super().__init__(path, methods, client=client)
        self._pin = pin

    def ask(self, method: str, params: BaseModel) -> object:
        """Ask; where the pump wants the PIN first and there is somebody to ask, give it."""
        try:
            return super().ask(method, params)
        except Refused as refused:
            if self._pin is None or [one.code for one in refused.reasons] != [PIN_NEEDED]:
                raise
        super().ask("pin.unlock", PinUnlockParams(pin=self._pin()))
        return super().ask(method, params)


class PumpClient:
    """One conversation with ``pumpd``: synchronous, without a thread, a context manager.

    Insulin goes in and comes out in microunits (1 U = 1,000,000 uu). Every method may raise NoPump
    (nobody there: nothing has changed), Refused (with every reason), NotAllowed, WrongVersion,
    PumpFailed and ProtocolFault; those that change something also OutcomeUnknown. Lost connections
    are opened again by ``deliver`` and ``stop`` alone; elsewhere that is the caller's to decide.

    ``pin`` is asked for the PIN where a change of a setting waits for it.

    ``settle_tries`` and ``pause_s`` say how often and how far apart a lost dose is looked up.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        client: str = f"benchpump-client {__version__}",
        settle_tries: int = 60,
        pause_s: float = 0.25,
        pause: Callable[[float], object] | None = None,
        pin: Callable[[], str] | None = None,
    ) -> None:
        self._rpc = PinClient(path, PUMP_METHODS, client=client, pin=pin)
        self._settle_tries = settle_tries
        self._pause_s = pause_s
        self._pause = pause or threading.Event().wait
        self._staying: BolusDeliverParams | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rpc(self) -> RpcClient:
        """The calls underneath; ``rpc.hello`` says who answered and which roles this user has."""
        return self._rpc

    def open(self) -> None:
        """Connect and say hello; nothing where that is done."""
        self._rpc.open()

    def close(self) -> None:
        """Leave. A bolus that relies on this connection stops 3 s later (SR-59)."""
        self._rpc.close()

    # --- reading ------------------------------------------------------------------------------

    def status(self) -> Snapshot:
        """Return the pump's last snapshot; ``age_ms`` says how old it is."""
        return Snapshot.of(self._rpc.call("status", Nothing()))

    def subscribe(self) -> Snapshot:
        """Ask for every change from now on; return the snapshot of now."""
        return Snapshot.of(self._rpc.call("subscribe", Nothing()))

    def next_snapshot(self, limit_s: float) -> Snapshot | None:
        """Return the next snapshot, or None after ``limit_s`` of silence. Subscribe first."""
        raw = self._rpc.next_push(limit_s)
        return None if raw is None else Snapshot.of(raw)

    def iter_snapshots(self, silence_s: float = SILENCE_S) -> Iterator[Snapshot]:
        """Yield the snapshot of now and every later one; other calls may be made between two.

        Raises NoPump after ``silence_s`` without a word.
        """
        yield self.subscribe()
        while True:
            snapshot = self.next_snapshot(silence_s)
            if snapshot is None:
                self.close()
                raise NoPump(self._rpc.path, f"no word from the pump for {silence_s:.0f} s")
            yield snapshot

    def lookup(self, request_id: str) -> Dose | None:
        """Return what became of a dose; None where the pump has none with this id."""
        try:
            return Dose.of(self._rpc.call("dose.lookup", DoseLookupParams(request_id=request_id)))
        except Refused as refused:
            if [reason.code for reason in refused.reasons] == [NO_SUCH_DOSE]:
                return None
            raise

    def basal(self) -> Basal:
        """Return the profiles, which one is followed, and the rate now."""
        return Basal.of(self._rpc.call("basal.show", Nothing()))

    def limits(self) -> LimitsShown:
        """Return the therapy limits and the machine's ceilings."""
        return LimitsShown.of(self._rpc.call("limits.show", Nothing()))

    def alarms(self) -> list[Alarm]:
        """Return the alarms that stand."""
        listed = self._rpc.call("alarms", Nothing()).get("alarms")
        if not isinstance(listed, list):
            raise ProtocolFault("the answer has no list of alarms")
        return [Alarm.of(alarm) for alarm in listed]

    def glucose(self) -> GlucoseShown:
        """Return glucose now, and the readings of the last three hours."""
        return GlucoseShown.of(self._rpc.call("glucose.show", Nothing()))

    def enter_glucose(self, mg_dl: int, reading_id: str | None = None) -> Glucose:
        """Enter a fingerstick of now; the same id is the same fingerstick."""
        params = GlucoseEnterParams(id=reading_id or str(uuid4()), mg_dl=mg_dl)
        return Glucose.of(self._rpc.call("glucose.enter", params)["glucose"])

    def report_glucose(self, source: str, readings: Sequence[SensorReading]) -> int:
        """Hand in readings of a sensor, oldest first; return how many were new to the pump."""
        params = GlucoseReportParams(source=source, readings=list(readings))
        kept = self._rpc.call("glucose.report", params).get("kept")
        if not isinstance(kept, int):
            raise ProtocolFault("the answer does not say how many readings were kept")
        return kept

    def snooze_glucose(self, minutes: int) -> int:
        """Answer the glucose alerts that stand; return how many. They come again."""
        params = GlucoseSnoozeParams(minutes=minutes)
        return int(self._rpc.call("glucose.snooze", params).get("snoozed", 0))

    def resume_glucose(self) -> None:
        """End a suspension by glucose; none begins for 30 min."""
        self._rpc.call("glucose.resume", Nothing())

    def report_ledger(self, seq: int, text: str) -> None:
        """Say what a full check found wrong with the ledger: the pump raises an alarm."""
        self._rpc.call("ledger.report", LedgerReportParams(seq=seq, text=text[:400]))

    def set_glucose(self, params: GlucoseSetParams) -> None:
        """Change the settings of glucose that are named."""
        self._rpc.call("glucose.set", params)

    # --- doses --------------------------------------------------------------------------------

    def review(
        self,
        request_id: str,
        amount_uu: int,
        speed: Speed = "normal",
        *,
        extended_uu: int = 0,
        extended_s: int = 0,
    ) -> Review:
        """Ask what a dose would be and what stands against it; nothing moves.

        ``extended_uu`` of the amount go out over ``extended_s`` seconds, the rest at once. The
        review's token allows one ``deliver`` of this id and these amounts within 30 s.
        """
        params = BolusReviewParams(
            request_id=request_id,
            amount_uu=amount_uu,
            extended_uu=extended_uu,
            extended_s=extended_s,
            speed=speed,
        )
        review = Review.of(self._rpc.call("bolus.review", params))
        if (review.request_id, review.amount_uu) != (request_id, amount_uu):  # SR-05
            raise ProtocolFault(
                f"asked for {amount_uu} uu as {request_id}, and the pump reviewed "
                f"{review.amount_uu} uu as {review.request_id}"
            )
        if (review.extended_uu, review.extended_s) != (extended_uu, extended_s):
            raise ProtocolFault(
                f"asked to extend {extended_uu} uu over {extended_s} s, and the pump reviewed "
                f"{review.extended_uu} uu over {review.extended_s} s"
            )
        return review

    def deliver(
        self,
        request_id: str,
        amount_uu: int,
        token: str,
        *,
        speed: Speed = "normal",
        stay: bool = True,
        again: bool = False,
        extended_uu: int = 0,
        extended_s: int = 0,
        correction_uu: int = 0,
        carbs_g: int = 0,
    ) -> Dose:
        """Give the reviewed dose and return its record, which may still be running.

        ``again`` confirms a second time, where the review's ``again`` says that the same amount was
        begun less than 15 min ago. ``correction_uu`` of the amount and ``carbs_g`` of food are what
        it is for: recorded, nothing more. ``stay`` promises that this connection lives until the
        dose ends. A lost answer is settled here: look the id up, and ask again with the same id
        where there is no such dose (SR-37, SR-39). Raises OutcomeUnknown only where that failed
        too.
        """
        purpose = {"correction_uu": correction_uu, "carbs_g": carbs_g}
        params = BolusDeliverParams(
            request_id=request_id,
            amount_uu=amount_uu,
            extended_uu=extended_uu,
            extended_s=extended_s,
            speed=speed,
            token=token,
            stay=stay,
            again=again,
            **{name: number for name, number in purpose.items() if number},
        )
        self._staying = params if stay else None
        try:
            return self._deliver(params)
        except (OutcomeUnknown, ProtocolFault) as unknown:
            return self._settle(params, unknown)

    def settle(self, request_id: str) -> Dose | None:
        """Connect again after a loss and return what became of a dose; None if there is none.

        A dose that ``deliver`` stayed for, and that still runs, is joined again: asked for with its
        own id, so that this connection is again one that can stop it.

        Raises OutcomeUnknown where the pump did not come back in time.
        """

        def find() -> Dose | None:
            found = self._found(request_id)
            params = self._staying
            if found is None or params is None or params.request_id != request_id:
                return found
            return self._joined(params, found)

        lost = OutcomeUnknown("the connection was lost", request_id)
        return self._settled(find, request_id, lost)

    def stop(self, what: StopWhat = "all") -> list[Dose]:
        """Stop now; return the records, so far, of what was stopped. Asked twice if need be."""
        try:
            return self._stop(what)
        except (OutcomeUnknown, NoPump):
            self.close()
            return self._stop(what)

    def _deliver(self, params: BolusDeliverParams) -> Dose:
        dose = Dose.of(self._rpc.call("bolus.deliver", params))
        if dose.id != params.request_id:
            raise ProtocolFault(f"asked for {params.request_id}, and the pump answered {dose.id}")
        return dose

    def _settle(self, params: BolusDeliverParams, unknown: Exception) -> Dose:
        def find() -> Dose:
            found = self._found(params.request_id)
            return self._deliver(params) if found is None else self._joined(params, found)

        return self._settled(find, params.request_id, unknown)

    def _joined(self, params: BolusDeliverParams, found: Dose) -> Dose:
        """Ask again for a dose that runs, so that this connection can stop it."""
        if not params.stay or not any(part.running for part in found.parts):
            return found
        try:
            return self._deliver(params)
        except Refused:
            return found

    def _found(self, request_id: str) -> Dose | None:
        try:
            return self.lookup(request_id)
        except Refused as refused:  # it says nothing about the dose
            raise OutcomeUnknown(str(refused), request_id) from refused

    def _settled(self, find: Callable[[], Found], request_id: str, unknown: Exception) -> Found:
        last: PumpError | None = None
        for attempt in range(self._settle_tries):
            if attempt:
                self._pause(self._pause_s)
            try:
                self.open()
                return find()
            except PumpError as error:
                if type(error) is Refused:  # by the pump, of this dose: that is an outcome
                    raise
                self.close()
                last = error
        raise OutcomeUnknown(f"{unknown}; then: {last}", request_id) from last

    def _stop(self, what: StopWhat) -> list[Dose]:
        return _stopped(self._rpc.call("stop", StopParams(what=what)))

    # --- settings and the rest ----------------------------------------------------------------

    def suspend(self) -> list[Dose]:
        """Stop all delivery until ``resume``; return the records of what was stopped."""
        return _stopped(self._rpc.call("suspend", Nothing()))

    def resume(self) -> str:
        """Run the self-test, arm the guard and deliver again; return the state. Takes seconds."""
        return str(self._rpc.call("resume", Nothing()).get("state", ""))

    def import_basal(
        self,
        name: str,
        segments: Sequence[Segment | FullSegment | SegmentShown],
        *,
        replace: bool = False,
        confirm: bool = False,
    ) -> None:
        """Keep a profile; ``replace`` lets one of the same name go.

        Without ``confirm`` segments of nothing and large jumps are refused, each by a reason.
        """
        columns: dict[str, list[int | None]] = {
            column: [getattr(one, key, None) for one in segments]
            for key, column in COLUMNS.items()
            if any(getattr(one, key, None) is not None for one in segments)
        }
        points = [
            Segment(start_min_of_day=one.start_min_of_day, rate_uu_per_h=one.rate_uu_per_h)
            for one in segments
        ]
        fields = {"name": name, "segments": points, "replace": replace, **columns}
        if confirm:
            fields["confirm"] = True
        self._rpc.call("basal.import", BasalImportParams.model_validate(fields))

    def copy_basal(self, name: str, new_name: str) -> None:
        """Keep a profile under another name too."""
        self._rpc.call("basal.copy", BasalCopyParams(name=name, new_name=new_name))

    def rename_basal(self, name: str, new_name: str) -> None:
        """Keep a profile under another name; the one in use goes on under its new name."""
        self._rpc.call("basal.rename", BasalCopyParams(name=name, new_name=new_name))

    def delete_basal(self, name: str) -> None:
        """Forget a profile that is not in use."""
        self._rpc.call("basal.delete", BasalUseParams(name=name))

    def use_basal(self, name: str) -> None:
        """Follow this profile from now on."""
        self._rpc.call("basal.use", BasalUseParams(name=name))

    def start_temp(self, kind: TempKind, value: int, duration_s: int) -> TempStarted:
        """Give a temporary basal from now on: ``value`` in percent, or in microunits an hour."""
        params = TempStartParams(kind=kind, value=value, duration_s=duration_s)
        return TempStarted.of(self._rpc.call("temp.start", params))

    def use_temp(self, name: str) -> TempStarted:
        """Give the temporary basal that is kept under ``name``."""
        return TempStarted.of(self._rpc.call("temp.use", TempPresetStartParams(name=name)))

    def cancel_temp(self) -> None:
        """End the temporary basal: the profile returns."""
        self._rpc.call("temp.cancel", Nothing())

    def temp_presets(self) -> Presets:
        """Return the temporary basals that are kept by name."""
        return Presets.of(self._rpc.call("temp.presets", Nothing()))

    def save_temp(self, name: str, kind: TempKind, value: int, duration_s: int) -> None:
        """Keep a temporary basal under ``name``."""
        params = TempPresetParams(name=name, kind=kind, value=value, duration_s=duration_s)
        self._rpc.call("temp.save", params)

    def delete_temp(self, name: str) -> None:
        """Forget the temporary basal that is kept under ``name``."""
        self._rpc.call("temp.delete", TempPresetStartParams(name=name))

    def insulin(self) -> Insulin:
        """Return the curve by which insulin on board is worked out."""
        return Insulin.of(self._rpc.call("insulin.show", Nothing()))

    def set_insulin(
        self,
        model: str,
        *,
        duration_min: int | None = None,
        peak_min: int | None = None,
        delay_min: int | None = None,
    ) -> None:
        """Take another curve; what is not given is what the model has of itself."""
        params = InsulinParams(
            model=model, duration_min=duration_min, peak_min=peak_min, delay_min=delay_min
        )
        self._rpc.call("insulin.set", params)

    def quick_step_uu(self) -> int | None:
        """Return how much one step of a quick bolus is; None where none is set."""
        step = self._rpc.call("quick.show", Nothing()).get("step_uu")
        return step if isinstance(step, int) else None

    def set_quick_step(self, step_uu: int) -> None:
        """Set how much one step of a quick bolus is."""
        self._rpc.call("quick.set", QuickParams(step_uu=step_uu))

    def set_limits(self, limits: Limits) -> None:
        """Set the five therapy limits at once."""
        self._rpc.call("limits.set", limits)

    def load_cartridge(
        self, amount_uu: int, *, kind: str | None = None, size_uu: int | None = None
    ) -> None:
        """Declare a fresh cartridge and what it holds; ``kind`` is "rapid" or "test"."""
        params = CartridgeLoadParams(amount_uu=amount_uu, kind=kind, size_uu=size_uu)
        self._rpc.call("cartridge.load", params)

    def cartridge(self) -> dict[str, Any]:
        """Return what is loaded, what is to do, ages in hours, what was wasted, and the sites."""
        return self._rpc.call("cartridge.show", Nothing())

    def prepare_cartridge(
        self, step: CartridgeStep, amount_uu: int = 0, *, declared: bool
    ) -> dict[str, Any]:
        """Give a step its first confirmation; return its ``token``, and the ``question`` to ask."""
        params = CartridgePrepareParams(step=step, amount_uu=amount_uu, declared=declared)
        return self._rpc.call("cartridge.prepare", params)

    def run_cartridge(self, step: CartridgeStep, amount_uu: int, token: str) -> Dose:
        """Give a step its second confirmation; return the record of what now moves."""
        params = CartridgeRunParams(step=step, amount_uu=amount_uu, token=token)
        return Dose.of(self._rpc.call("cartridge.run", params))

    def finish_cartridge(self, site: str | None) -> None:
        """End a change of cartridge and set; ``site`` names where a new cannula went."""
        self._rpc.call("cartridge.finish", CartridgeFinishParams(site=site))

    def rearm(self) -> None:
        """Let delivery resume after three alarms and restarts have locked it (SR-27)."""
        self._rpc.call("rearm", Nothing())

    def silence(self) -> int:
        """Pause the sound of alarms; return for how many seconds more, at most 120."""
        return int(self._rpc.call("alarms.silence", Nothing())["paused_left_s"])

    def check_signals(self) -> int:
        """Have every lamp and the buzzer shown once; return how many ms that takes."""
        return int(self._rpc.call("signals.check", Nothing())["duration_ms"])

    def confirm_signals(self, *, seen: bool, how: Literal["person", "assumed"]) -> bool:
        """Say whether the check was seen and heard; return whether a new bolus may begin."""
        params = SignalsConfirmParams(seen=seen, how=how)
        return bool(self._rpc.call("signals.confirm", params)["confirmed"])

    def pin(self) -> dict[str, Any]:
        """Return ``set``, ``unlocked``, ``wrong_tries`` and ``wait_s`` of the PIN."""
        return self._rpc.call("pin.show", Nothing())

    def unlock(self, pin: str) -> None:
        """Let this connection change settings until it has left them alone for 60 s."""
        self._rpc.call("pin.unlock", PinUnlockParams(pin=pin))

    def lock(self) -> None:
        """Have every connection need the PIN again."""
        self._rpc.call("pin.lock", Nothing())

    def set_pin(self, old: str | None, new: str) -> None:
        """Set the PIN, 6 to 12 digits; ``old`` is None where there was none."""
        self._rpc.call("pin.set", PinSetParams(old=old, new=new))

    def clear_pin(self, old: str) -> None:
        """Have no PIN any more."""
        self._rpc.call("pin.clear", PinClearParams(old=old))

    def alerts(self) -> dict[str, int]:
        """Return when the pump warns: ``low_reservoir_uu``, ``low_reservoir_h``, ``auto_off_h``."""
        return dict(self._rpc.call("alerts.show", Nothing())["alerts"])

    def set_alerts(self, alerts: AlertsSetParams) -> None:
        """Set the alerts that are named; None leaves one as it is."""
        self._rpc.call("alerts.set", alerts)

    def reminders(self) -> dict[str, Any]:
        """Return what the pump reminds of: times of day are minutes of the local day."""
        return dict(self._rpc.call("reminders.show", Nothing())["reminders"])

    def set_reminders(self, reminders: RemindersSetParams) -> None:
        """Set the reminders that are named; None leaves one as it is."""
        self._rpc.call("reminders.set", reminders)

    def preferences(self) -> dict[str, Any]:
        """Return what was chosen of language, theme, speed, zone, fluid, syringe; else None."""
        return dict(self._rpc.call("preferences.show", Nothing())["preferences"])

    def set_preferences(self, preferences: PreferencesSetParams) -> None:
        """Choose what is named; None leaves one as it is."""
        self._rpc.call("preferences.set", preferences)

    def snooze(self, minutes: int) -> int:
        """Answer every reminder that stands for so many minutes; return how many those are."""
        params = RemindersSnoozeParams(minutes=minutes)
        return int(self._rpc.call("reminders.snooze", params)["snoozed"])

    def acknowledge(self, number: int | None) -> None:
        """Acknowledge one alarm by its number, or all of them with None."""
        self._rpc.call("alarms.acknowledge", AlarmsAcknowledgeParams(number=number))

    def heartbeat(self) -> None:
        """Say that a person at a screen can stop the pump now (SR-59). Once a second."""
        self._rpc.call("heartbeat", Nothing())

    def report_touch(self, stuck: TouchStuck) -> None:
        """Say whether this touchscreen takes no entry: the pump raises an alarm while it is so."""
        self._rpc.call("touch.report", TouchReportParams(stuck=stuck))


def _stopped(result: dict[str, Any]) -> list[Dose]:
    listed = result.get("stopped")
    if not isinstance(listed, list):
        raise ProtocolFault("the answer has no list of what was stopped")
    return [Dose.of(dose) for dose in listed]
