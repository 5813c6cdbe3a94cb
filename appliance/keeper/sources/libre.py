"""LibreLinkUp, by way of pylibrelinkup (``pip install 'benchpump[libre]'``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pylibrelinkup import APIUrl, PyLibreLinkUp
from pylibrelinkup import pylibrelinkup as library
from pylibrelinkup.exceptions import PyLibreLinkUpError
from requests import RequestException

from appliance.domain.units import NS_PER_MS
from appliance.errors import SourceFault
from appliance.keeper.sources import Found, Options, Place, checked, credentials
from appliance.keeper.sources.timed import in_time

in_time(library)

_REGIONS = {one.name.lower(): one for one in APIUrl}


class LibreLinkUp:
    """The source of the kind ``libre``: options ``credentials`` (a file with ``email = ...`` and
    ``password = ...``), ``region`` and ``patient`` (which of several, from 0).
    """

    def __init__(self, options: Mapping[str, Any], place: Place) -> None:
        taken = Options(options, place)
        self._words = credentials(Path(taken.text("credentials")), "email", "password")
        self._region = _REGIONS[taken.one_of("region", "us", tuple(_REGIONS))]
        self._number = taken.whole("patient", 0, 0, 20)
        taken.end()
        self._account: PyLibreLinkUp | None = None

    def poll(self) -> Sequence[Found]:
        try:
            if self._account is None:
                account = PyLibreLinkUp(
                    self._words["email"], self._words["password"], api_url=self._region
                )
                account.authenticate()
                self._account = account
            patients = self._account.get_patients()
            if self._number >= len(patients):
                raise SourceFault(f"LibreLinkUp shares {len(patients)} patients with this account")
            patient = patients[self._number]
            readings = [*self._account.graph(patient), self._account.latest(patient)]
        except (PyLibreLinkUpError, RequestException, ValueError) as error:
            self._account = None  # the next time it signs in anew
            raise SourceFault(f"LibreLinkUp: {type(error).__name__}") from None
        found = {}
        for one in readings:
            at_ms = round(one.factory_timestamp.timestamp() * 1_000)
            value = round(one.value_in_mg_per_dl)
            found[at_ms] = checked(str(at_ms), value, at_ms * NS_PER_MS, "LibreLinkUp")
        return [found[at] for at in sorted(found)]

    def pause_s(self) -> float:
        return 60.0
