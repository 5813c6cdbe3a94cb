"""Dexcom Share, by way of pydexcom (``pip install 'benchpump[dexcom]'``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydexcom import Dexcom, Region
from pydexcom import dexcom as library
from pydexcom.errors import DexcomError
from requests import RequestException

from appliance.domain.units import NS_PER_MS
from appliance.errors import SourceFault
from appliance.keeper.sources import Found, Options, Place, checked, credentials
from appliance.keeper.sources.timed import in_time

in_time(library)

_REGIONS = {"us": Region.US, "ous": Region.OUS, "jp": Region.JP}


class DexcomShare:
    """The source of the kind ``dexcom``: options ``credentials`` (a file with ``username = ...``
    and ``password = ...``) and ``region`` (us, ous, jp).
    """

    def __init__(self, options: Mapping[str, Any], place: Place) -> None:
        taken = Options(options, place)
        self._words = credentials(Path(taken.text("credentials")), "username", "password")
        self._region = _REGIONS[taken.one_of("region", "us", tuple(_REGIONS))]
        taken.end()
        self._account: Dexcom | None = None

    def poll(self) -> Sequence[Found]:
        try:
            if self._account is None:
                self._account = Dexcom(
                    username=self._words["username"],
                    password=self._words["password"],
                    region=self._region,
                )
            readings = self._account.get_glucose_readings(minutes=120, max_count=24)
        except (DexcomError, RequestException, ValueError) as error:
            self._account = None  # the next time it signs in anew
            raise SourceFault(f"Dexcom Share: {type(error).__name__}") from None
        found = []
        for one in readings:
            at_ms = round(one.datetime.timestamp() * 1_000)
            found.append(checked(str(at_ms), one.mg_dl, at_ms * NS_PER_MS, "Dexcom Share"))
        return sorted(found, key=lambda one: one.utc_ns)

    def pause_s(self) -> float:
        return 60.0
