"""Which files become a package together, and the document that says so for ever.

A group is the files of one filed observation and module, or all that nobody filed of one
instrument and night; a data product, and a canary, is one of its own. Frames that nobody filed get
an observation of their own for each run of equal frame type and OBJECT. The document is in the
ledger before the first byte of its package, and says all that the ledger's rows of it can be made
from again (nightferry.rebuilding).
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from nightferry.db import Tx
from nightferry.db import json as jsonb
from nightferry.jobs import Wanted
from nightferry.packaging.layout import plan
from nightferry.packaging.manifest import Document, Member, NotPackable, Observation
from nightferry.packaging.naming import archive_path, package_name

MOST_FILES = 5_000  # of one package: its document is one JSON value of the ledger
_DERIVED = (
    "night_from", "clock", "module", "frame_type", "object", "program", "exposure_start",
    "exposure_seconds",
    "filter", "ra", "dec", "airmass", "counter", "exposure_key", "attributes",
)  # fmt: skip
_LEDGER = ("site", "owner", "public_after", "ordinal", "relation", "registered", "mtime_ns")
_OBSERVED = (
    "site", "origin", "program", "obs_unit", "instrument", "module", "night", "frame_type",
    "target", "began", "ended", "completed", "document",
)  # fmt: skip


def plan_packages(tx: Tx) -> Iterator[tuple[str, Wanted]]:
    """Plans the packages of every closed group, and the full ones of a group that still grows.

    Runs in one transaction, one host at a time.
    """
    limit = tx.run("package.policy")[0].package_size
    for group in tx.run("package.groups"):
        _give_units(tx, group)
        rows = tx.run("package.members", **_key(group), most=MOST_FILES)
        parts = _fitting(rows, limit)
        if not group.closed and parts[-1].size < limit:
            parts.pop()  # it waits for what still comes
        for part in parts:
            yield from _plan_what_can_be(tx, group, part.files)


def _plan_what_can_be(tx: Tx, group: Any, files: list[Any]) -> Iterator[tuple[str, Wanted]]:
    """One package; or, where these files can't be one, each alone; or its file in quarantine."""
    try:
        yield from _plan(tx, group, files)
    except NotPackable as error:
        if len(files) == 1:
            tx.run("package.unpackable", file=files[0].id, reason=str(error))
            return
        for file in files:
            yield from _plan_what_can_be(tx, group, [file])


_KEY = ("location", "night", "instrument", "module", "unit", "program", "product", "canary")


def _key(group: Any) -> dict[str, Any]:
    return {
        n: getattr(group, n)
        for n in (
            "location",
            "night",
            "instrument",
            "module",
            "unit",
            "program",
            "product",
            "canary",
        )
    }


def _fitting(rows: list[Any], limit: int) -> list["_Part"]:
    """Parts up to the size limit, a larger file alone; never two versions of a path."""
    parts: list[_Part] = []
    for row in rows:
        part = next((p for p in parts if p.takes(row, limit)), None)
        if part is None:
            parts.append(part := _Part())
        part.add(row)
    return parts


class _Part:
    """The files of one package to be."""

    def __init__(self) -> None:
        self.files: list[Any] = []
        self._paths: set[str] = set()
        self.size = 0

    def takes(self, row: Any, limit: int) -> bool:
        return self.size + row.size <= limit and row.path not in self._paths

    def add(self, row: Any) -> None:
        self.files.append(row)
        self._paths.add(row.path)
        self.size += row.size


def _give_units(tx: Tx, group: Any) -> None:
    """An observation for each run of frames that nobody filed; the night's last goes on."""
    if group.unit is not None or group.product is not None:
        return
    key = {"night": group.night, "instrument": group.instrument}
    unfiled = tx.run("package.unfiled", location=group.location, **key)
    for (frame_type, target), run in groupby(unfiled, key=lambda f: (f.frame_type, f.object)):
        frames = list(run)
        last = tx.one("package.last_unit", **key)
        if last is not None and (last.frame_type, last.target) == (frame_type, target):
            unit = last.id
        else:
            ends = [
                f.exposure_start + timedelta(seconds=f.exposure_seconds or 0)
                for f in frames
                if f.exposure_start
            ]
            unit = tx.run(
                "package.make_unit", **key, module=frames[0].module, frame_type=frame_type,
                target=target,
                began=frames[0].exposure_start, ended=max(ends, default=None),
            )[0].id  # fmt: skip
        tx.run("package.join_unit", unit=unit, files=[f.id for f in frames])


def _plan(tx: Tx, group: Any, files: list[Any]) -> Iterator[tuple[str, Wanted]]:
    made = tx.run("package.new", location=group.location)[0]
    units = tx.run(
        "package.unit", ids=sorted({f.executed_obs_unit for f in files if f.executed_obs_unit})
    )
    owner, public_after = rights_of(files)
    name = package_name(group.instrument, group.night, str(made.id))
    first = None if group.canary else tx.one("package.earlier", **_key(group))
    document = Document(
        id=str(made.id),
        name=name,
        site=made.site,
        night=group.night,
        instrument=group.instrument,
        created=made.now,
        members=tuple(_member(f) for f in files),
        module=group.module or None,
        owner=owner,
        public_after=public_after,
        observations=tuple(_observation(u) for u in units),
        ledger={
            "planned": _plain(made.now),
            "program": group.program,
            "origin": group.location,
            "supplement_of": str(first.id) if first else None,
            "executed_obs_unit": str(group.unit) if group.unit else None,
            **_product(tx, group),
        },
    )
    offsets = dict(zip((m.id for m in document.members), plan(document).offsets, strict=True))
    tx.run(
        "package.plan", id=made.id, name=name,
        # The folder of a night would stay behind, empty, each time that a canary is taken out.
        path=f"{group.instrument}/{name}.tar" if group.canary else archive_path(
            group.instrument, group.night, name
        ),
        origin=group.location, night=group.night, instrument=group.instrument, module=group.module,
        unit=group.unit, program=group.program, owner=owner, public_after=public_after,
        supplement_of=first.id if first else None, members=len(files),
        document=jsonb(json.loads(document.to_json())),
    )  # fmt: skip
    tx.run(
        "package.add_members",
        package=made.id,
        files=[UUID(i) for i in offsets],
        offsets=list(offsets.values()),
    )
    if made.buffer is not None:
        yield "package", Wanted(f"{made.id}@{made.buffer}", group.location, made.buffer, 100)


def _product(tx: Tx, group: Any) -> dict[str, Any]:
    """What a data product was made from."""
    if group.product is None:
        return {}
    return {"product": tx.run("package.product", product=group.product)[0].told}


def rights_of(files: list[Any]) -> tuple[str | None, datetime | None]:
    """A package is as closed as the most closed of its files; an unknown owner is closed."""
    owners = {f.owner for f in files}
    dates = [f.public_after for f in files]
    owner = owners.pop() if len(owners) == 1 else None
    public_after = max((d for d in dates if d), default=None) if all(dates) else None
    return owner, public_after


def _member(f: Any) -> Member:
    return Member(
        id=str(f.id),
        path=f.path,
        size=f.size,
        sha256=f.sha256,
        mtime=f.mtime_ns // 10**9,
        header=f.header,
        defects=(*f.defects,),
        hdus=tuple(f.headers),
        observation=str(f.executed_obs_unit) if f.executed_obs_unit else None,
        derived={n: _plain(getattr(f, n)) for n in _DERIVED},
        ledger={n: _plain(getattr(f, n)) for n in _LEDGER},
    )


def _observation(u: Any) -> Observation:
    told = {n: _plain(getattr(u, n)) for n in _OBSERVED}
    return Observation(str(u.id), u.owner, u.public_after, told)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value
