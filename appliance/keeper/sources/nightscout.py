"""A Nightscout server: the readings that others put there. Off until ``keeper.toml`` names it."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from appliance.domain.units import NS_PER_MS
from appliance.errors import BadConfiguration, SourceFault
from appliance.keeper.sources import Found, Options, Place, checked, credentials

ANSWER_S = 20.0
MOST_BYTES = 1_000_000
_COUNT = 24
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def base_url(text: str, source: str) -> str:
    """Return a server's address without its last slash. Raises BadConfiguration: only https, and
    http to this computer alone, because a secret goes with every request.
    """
    parts = urlsplit(text)
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise BadConfiguration(source, [f"url = {text[:80]!r} is no address of a server"])
    if parts.scheme != "https" and not plain:
        raise BadConfiguration(source, [f"url = {text[:80]!r}: https is needed"])
    return text.rstrip("/")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A server that sends us elsewhere would get the secret sent there."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def ask(request: urllib.request.Request) -> bytes:
    """Send one request and return the answer's body, at most 1 MB. Raises SourceFault."""
    try:
        with _OPENER.open(request, timeout=ANSWER_S) as answer:
            body: bytes = answer.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceFault(f"{request.host} answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise SourceFault(f"{request.host} does not answer: {reason}") from None
    if len(body) > MOST_BYTES:
        raise SourceFault(f"{request.host} answers with more than {MOST_BYTES} bytes")
    return body


class Nightscout:
    """The source of the kind ``nightscout``: options ``url`` and ``credentials`` (a file with
    ``secret = ...``, the server's API_SECRET).
    """

    def __init__(self, options: Mapping[str, Any], place: Place) -> None:
        taken = Options(options, place)
        url = base_url(taken.text("url"), f"source {place.name}")
        secret = credentials(Path(taken.text("credentials")), "secret")["secret"]
        taken.end()
        # The server's own way: it is sent the secret's SHA-1, never the secret.
        hashed = hashlib.sha1(secret.encode(), usedforsecurity=False).hexdigest()
        self._request = urllib.request.Request(  # noqa: S310 - http only to this computer
            f"{url}/api/v1/entries/sgv.json?count={_COUNT}",
            headers={"api-secret": hashed, "accept": "application/json"},
        )

    def poll(self) -> Sequence[Found]:
        try:
            listed = json.loads(ask(self._request))
            rows = [one for one in listed if one.get("type", "sgv") == "sgv"]
            found = [
                checked(
                    str(one.get("_id") or f"{one['date']}"),
                    one["sgv"],
                    int(one["date"]) * NS_PER_MS,
                    self._request.host,
                )
                for one in rows
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceFault(f"{self._request.host} answers what is no list: {error}") from None
        return sorted(found, key=lambda one: one.utc_ns)

    def pause_s(self) -> float:
        return 60.0
