"""Filing an observation: what a person or the observatory's control system says was done.

Its files may come later: they are filed by name, and join when they are registered.
"""

import difflib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID

from nightferry.db import Row, Tx, json
from nightferry.errors import NightferryError
from nightferry.instruments import FrameType
from nightferry.names import check_relative
from nightferry.night import Label, night_of


@dataclass(frozen=True)
class Filing:
    """One observation as it is told. Times are UTC; ``files`` are paths below ``location``."""

    instrument: str
    program: str | None = None
    unit: str | None = None  # the planned unit's name, within the programme
    target: str = ""
    module: str = ""
    frame_type: FrameType = FrameType.UNKNOWN
    night: date | None = None  # absent: of its beginning
    began: datetime | None = None
    ended: datetime | None = None
    owner: str | None = None  # absent: the programme's
    public_after: datetime | None = None  # absent: by the programme's proprietary time
    location: str | None = None  # absent: the site's only SOURCE
    files: tuple[str, ...] = ()
    complete: bool = False
    id: UUID | None = None  # told by whoever files, so that filing twice is filing once


@dataclass(frozen=True)
class Filed:
    """What became of it: how many of its files joined now, are packed already, have not come."""

    id: UUID
    night: date
    attached: int
    packaged: tuple[str, ...]
    awaited: int


def read(document: Mapping[str, Any]) -> Filing:
    """A JSON document as a :class:`Filing`.

    Raises:
        NightferryError: an unknown key or a value of the wrong kind.
    """
    known = {f.name for f in fields(Filing)}
    for key in document:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            raise NightferryError(f"unknown key {key!r} in the observation; {hint}")
    if not isinstance(document.get("instrument"), str):
        raise NightferryError("the observation names no instrument")
    values = {k: _READ.get(k, _text)(k, v) for k, v in document.items() if v is not None}
    return Filing(**values)


def moment(key: str, value: object) -> datetime:
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        raise NightferryError(f"{key}: {value!r} is no time such as 2024-05-13T03:15Z") from None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise NightferryError(f"{key}: {value!r} is no text")
    return value


def _day(key: str, value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise NightferryError(f"{key}: {value!r} is no date such as 2024-05-12") from None


def _paths(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise NightferryError(f"{key}: a list of paths is meant")
    return tuple(_text(key, path) for path in value)


def _truth(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise NightferryError(f"{key}: {value!r} is neither true nor false")
    return value


def _frame_type(key: str, value: object) -> FrameType:
    try:
        return FrameType(str(value))
    except ValueError:
        raise NightferryError(f"{key}: {value!r} is none of {', '.join(FrameType)}") from None


def _identity(key: str, value: object) -> UUID:
    try:
        return uuid.UUID(str(value))
    except ValueError:
        raise NightferryError(f"{key}: {value!r} is no uuid") from None


_READ: dict[str, Any] = {
    "id": _identity,
    "night": _day,
    "began": moment,
    "ended": moment,
    "public_after": moment,
    "files": _paths,
    "complete": _truth,
    "frame_type": _frame_type,
}


def file_observation(
    tx: Tx, filing: Filing, site: str | None, document: Mapping[str, Any]
) -> Filed:
    """Writes the observation and joins its files that are registered and not packaged.

    ``document`` is kept as it was told; ``site`` is whose SOURCE is meant where none is named.

    Raises:
        NightferryError: an unknown programme, instrument or location, or a path that is none.
    """
    program = _program(tx, filing)
    night = filing.night or _night(tx, filing)
    if tx.one("obs.instrument", name=filing.instrument) is None:
        raise NightferryError(
            f"unknown instrument {filing.instrument!r}: write it into observatory.yaml, then nf "
            "config apply"
        )
    unit = None
    if filing.unit is not None:
        if filing.program is None:
            raise NightferryError(f"the unit {filing.unit!r} needs its programme")
        row = tx.one("obs.unit", program=filing.program, name=filing.unit, target=filing.target)
        unit = row.id if row else None
    public_after = filing.public_after
    if public_after is None and program is not None and program.proprietary is not None:
        public_after = (filing.began or datetime.now(UTC)) + program.proprietary
    made = tx.one(
        "obs.file",
        id=filing.id,
        program=filing.program,
        obs_unit=unit,
        instrument=filing.instrument,
        module=filing.module,
        night=night,
        frame_type=str(filing.frame_type),
        target=filing.target,
        began=filing.began,
        ended=filing.ended,
        complete=filing.complete,
        owner=filing.owner or (program.owner if program else None),
        public_after=public_after,
        document=json(dict(document)),
    )
    identity = made.id if made else filing.id
    assert identity is not None  # no row = this id was filed before
    if made is None and filing.complete:
        tx.run("obs.complete", id=identity, ended=filing.ended)
    if filing.files:
        location = filing.location or _only_source(tx, site)
        add_files(tx, identity, location, filing.files)
    return join(tx, identity)


def add_files(tx: Tx, identity: UUID, location: str, paths: Sequence[str]) -> None:
    """Files that belong to the observation, whether they are there yet or not.

    Raises:
        NightferryError: a path that is no clean relative path.
    """
    try:
        clean = [check_relative(path) for path in paths]
    except ValueError as error:
        raise NightferryError(f"{error}: paths are below the root of {location}") from error
    tx.run("obs.add_files", id=identity, location=location, paths=clean)


def join(tx: Tx, identity: UUID) -> Filed:
    """Joins what is registered and in no package yet, and counts the rest."""
    attached = tx.run("obs.attach", id=identity)
    row = tx.one("obs.one", id=identity)
    assert row is not None
    if attached:
        tx.run("obs.drop_empty_groups", night=row.night, instrument=row.instrument)
    files = tx.run("obs.files", id=identity)
    late = tuple(f.path for f in files if f.packaged and not f.attached)
    awaited = sum(f.id is None for f in files)
    return Filed(identity, row.night, len(attached), late, awaited)


def _program(tx: Tx, filing: Filing) -> Row | None:
    if filing.program is None:
        return None
    row = tx.one("obs.program", name=filing.program)
    if row is None:
        raise NightferryError(
            f"unknown programme {filing.program!r}: write it into observatory.yaml, then nf config "
            "apply"
        )
    return row


def _night(tx: Tx, filing: Filing) -> date:
    row = tx.one("obs.instrument", name=filing.instrument)
    zone, turnover, label = "UTC", "12:00", "evening"
    if row is not None and row.zone is not None:
        zone, turnover, label = row.zone, row.turnover, row.label
    return night_of(filing.began or datetime.now(UTC), zone, turnover, cast(Label, label))


def _only_source(tx: Tx, site: str | None) -> str:
    names = [r.name for r in tx.run("obs.sources", site=site)]
    if len(names) != 1:
        many = f"{', '.join(names)} are SOURCEs" if names else f"{site} has no SOURCE"
        raise NightferryError(f"{many}: say at which location the files are")
    return str(names[0])
