"""What the keeper is to do beside answering: times of jobs, sources of glucose, links.

One file, ``keeper.toml``, beside the machine's configuration. Without it the jobs run at their
usual times and there is no source and no link: nothing that uses a network is on by itself.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from appliance.client.messages import reasons_of
from appliance.errors import BadConfiguration

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def _minute(raw: object) -> int:
    match = _TIME.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        raise ValueError('must be a local time of day such as "03:00"')
    return int(match[1]) * 60 + int(match[2])


def _named(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", text):
        raise ValueError("must be 1 to 40 lower-case letters, digits and dashes")
    return text


MinOfDay = Annotated[int, BeforeValidator(_minute)]
Named = Annotated[str, AfterValidator(_named)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class JobsTable(_Table):
    """When the jobs of each day run, in local time, and what backups are kept."""

    summary_at: MinOfDay = 10
    check_at: MinOfDay = 150
    backup_at: MinOfDay = 180
    retention_at: MinOfDay = 210
    keep_days: Annotated[int, Field(ge=1, le=366)] = 14
    keep_weeks: Annotated[int, Field(ge=0, le=520)] = 8
    keep_months: Annotated[int, Field(ge=0, le=240)] = 24


class SourceTable(_Table):
    """One source of glucose: ``kind`` names the plug-in, ``options`` are its own."""

    name: Named
    kind: Named
    enabled: bool = False
    options: dict[str, Any] = Field(default_factory=dict)


class LinkTable(_Table):
    """One link to another system: ``kind`` is nightscout, mqtt or prometheus."""

    name: Named
    kind: Annotated[str, Field(pattern="^(nightscout|mqtt|prometheus)$")]
    enabled: bool = False
    options: dict[str, Any] = Field(default_factory=dict)


class CostsTable(_Table):
    """What things cost, for the report."""

    currency: Annotated[str, Field(max_length=8)] = ""
    insulin_per_u: Annotated[float, Field(ge=0, le=1_000)] | None = None
    cartridge: Annotated[float, Field(ge=0, le=10_000)] | None = None
    infusion_set: Annotated[float, Field(ge=0, le=10_000)] | None = None


class ReportTable(_Table):
    """A report that writes itself: so many days, every so many days; 0 is never."""

    every_days: Annotated[int, Field(ge=0, le=366)] = 0
    days: Annotated[int, Field(ge=1, le=90)] = 14
    at: MinOfDay = 240


class KeeperSettings(_Table):
    """The whole of ``keeper.toml``."""

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    jobs: JobsTable = Field(default_factory=JobsTable)
    source: list[SourceTable] = Field(default_factory=list)
    link: list[LinkTable] = Field(default_factory=list)
    hosts: list[Annotated[str, Field(min_length=1, max_length=253)]] = Field(default_factory=list)
    costs: CostsTable = Field(default_factory=CostsTable)
    report: ReportTable = Field(default_factory=ReportTable)


def read(path: Path) -> KeeperSettings:
    """Read ``keeper.toml``; what is usual where there is none. Raises BadConfiguration."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return KeeperSettings()
    except (OSError, ValueError) as error:
        raise BadConfiguration(str(path), [f"cannot be read: {error}"]) from error
    try:
        settings = KeeperSettings.model_validate(raw)
    except ValidationError as error:
        faults = [reason["text"] for reason in reasons_of(error)]
        raise BadConfiguration(str(path), faults) from error
    names = [one.name for one in settings.source] + [one.name for one in settings.link]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadConfiguration(str(path), [f"name = {name!r} stands twice" for name in twice])
    return settings
