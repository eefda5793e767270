"""A package's document as rows of the ledger. Nothing that a row says is changed."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from nightferry.db import Row, Tx, copy_rows
from nightferry.db import json as jsonb
from nightferry.errors import NightferryError
from nightferry.packaging.canonical import text as as_text
from nightferry.packaging.manifest import Document, Member, Observation
from nightferry.rebuilding.finding import Found

_DERIVED = (
    "night_from", "clock", "module", "frame_type", "object", "program", "exposure_start",
    "exposure_seconds", "filter", "ra", "dec", "airmass", "counter", "exposure_key",
)  # fmt: skip
_LEDGER = ("site", "owner", "public_after", "ordinal", "relation", "registered", "mtime_ns")
_FILE = (
    "id", "location", "path", "sha256", "size", "ctime_ns", "header", "defects", "night",
    "instrument", "executed_obs_unit", "replaced_by", "product", "attributes", *_DERIVED, *_LEDGER,
)  # fmt: skip
_UNIT = (
    "site", "origin", "program", "instrument", "module", "night", "frame_type", "target", "began",
    "ended", "completed",
)  # fmt: skip


class Conflict(NightferryError):
    """The ledger says otherwise than this package: nothing of it was written."""


class Recorder:
    """Writes packages as they are found, in any order, and joins them at the end."""

    def __init__(self) -> None:
        self._units: dict[str, str] = {}  # observations of this run, by the planning that told last
        self._supplements: list[tuple[str, str]] = []
        self._made_from: list[tuple[str, str]] = []  # product and file

    def record(self, tx: Tx, place: Row, found: Found) -> tuple[int, int, int, bool]:
        """One package and its copy: how many packages, files, observations; is the copy new?

        Raises:
            Conflict: the text says what is at odds.
        """
        packages = files = observations = 0
        if found.document is not None:
            packages, files, observations = self._package(tx, found, found.document)
        copied = tx.run(
            "rebuild.copy", package=found.package, location=place.name, site=place.site,
            path=found.path, sha256=found.sha256, size=found.size,
        )  # fmt: skip
        return packages, files, observations, bool(copied)

    def join(self, tx: Tx) -> None:
        """What refers to another package, once all are there."""
        tx.run(
            "rebuild.join_supplements",
            packages=[package for package, _ in self._supplements],
            firsts=[first for _, first in self._supplements],
        )
        tx.run(
            "rebuild.join_sources",
            products=[product for product, _ in self._made_from],
            files=[file for _, file in self._made_from],
        )

    def _package(self, tx: Tx, found: Found, document: Document) -> tuple[int, int, int]:
        before = tx.one("rebuild.package", package=document.id)
        if before is not None:
            if before.state == "dissolved" or before.sha256 not in (None, found.sha256):
                raise Conflict(f"the ledger has package {document.id} as {before.state}, otherwise")
            tx.run("package.packed", id=document.id, sha256=found.sha256, size=found.size)
            return 0, 0, 0
        ledger = document.ledger
        self._check_names(tx, document)
        tx.run("ingest.instruments", names=[document.instrument])
        units = [u for u in document.observations if self._unit(tx, document, u)]
        self._product(tx, document)
        files = _files(tx, document)
        tx.run(
            "rebuild.add_package",
            id=document.id, site=document.site, name=document.name, path=document.path,
            origin=ledger.get("origin"), night=document.night, instrument=document.instrument,
            module=document.module or "", unit=ledger.get("executed_obs_unit"),
            program=ledger.get("program"), owner=document.owner,
            public_after=document.public_after, members=len(document.members),
            document=jsonb(_stored(document)), planned=_planned(document), sha256=found.sha256,
            size=found.size,
        )  # fmt: skip
        tx.run(
            "package.add_members", package=document.id,
            files=[UUID(m.id) for m in document.members],
            offsets=[m.offset for m in document.members],
        )  # fmt: skip
        tx.run("rebuild.filed", package=document.id)
        if first := ledger.get("supplement_of"):
            self._supplements.append((document.id, as_text(first)))
        return 1, files, len(units)

    def _check_names(self, tx: Tx, document: Document) -> None:
        """What only observatory.yaml can tell of must be there."""
        programs = {u.ledger.get("program") for u in document.observations}
        lacking = tx.run(
            "rebuild.lacking", location=document.ledger.get("origin"),
            programs=sorted(str(p) for p in programs if p),
        )  # fmt: skip
        if lacking:
            names = ", ".join(r.name for r in lacking)
            raise Conflict(f"observatory.yaml lacks {names}: write it in, nf config apply, again")

    def _product(self, tx: Tx, document: Document) -> None:
        """The data product that the package is of, if it is of one."""
        told = document.ledger.get("product")
        if not isinstance(told, Mapping):
            return
        tx.run(
            "rebuild.product", site=document.site, location=document.ledger.get("origin"),
            **{n: told[n] for n in ("id", "name", "note", "by", "returned")},
        )  # fmt: skip
        sources: Any = told["sources"]
        self._made_from += [(as_text(told["id"]), as_text(source["id"])) for source in sources]

    def _unit(self, tx: Tx, document: Document, told: Observation) -> bool:
        """Whether the observation is new. The package that was planned last has the last word."""
        planned = _planned(document)
        new = told.id not in self._units
        if not new and self._units[told.id] >= planned:
            return False
        tx.run("ingest.instruments", names=[str(told.ledger["instrument"])])
        unit = told.ledger.get("obs_unit")
        if isinstance(unit, Mapping):
            tx.run("rebuild.obs_unit", **{n: unit[n] for n in ("id", "site", "program", "name")},
                   target=unit["target"])  # fmt: skip
        values = {name: told.ledger.get(name) for name in _UNIT}
        rows = tx.run(
            "rebuild.observation", id=told.id, **values, owner=told.owner,
            public_after=told.public_after, document=jsonb(told.ledger.get("document") or {}),
            obs_unit=unit["id"] if isinstance(unit, Mapping) else None, again=not new,
        )  # fmt: skip
        if rows:
            self._units[told.id] = planned
        else:
            tx.run(
                "rebuild.observation_went_on", id=told.id, ended=values["ended"],
                completed=values["completed"],
            )  # fmt: skip
        return new and bool(rows)


def _planned(document: Document) -> str:
    return as_text(document.ledger["planned"])


def _stored(document: Document) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(document.to_json())
    return stored


def _files(tx: Tx, document: Document) -> int:
    """The package's files and their headers; those that were registered before stay as they are."""
    location = as_text(document.ledger["origin"])
    paths = [m.path for m in document.members]
    at: dict[str, dict[int, Row]] = {}
    for row in tx.run("rebuild.appearances", location=location, paths=paths):
        at.setdefault(row.path, {})[row.ordinal] = row
    rows: list[tuple[Any, ...]] = []
    fresh: list[Member] = []
    for member in document.members:
        others = at.get(member.path, {})
        ordinal = member.ledger["ordinal"]
        assert isinstance(ordinal, int)
        same = others.get(ordinal)
        if same is not None:
            if (str(same.id), same.sha256) != (member.id, member.sha256):
                raise Conflict(
                    f"{member.path} is in the ledger as another file ({same.id}): it was "
                    "registered again since"
                )
            if same.package is not None:
                raise Conflict(f"{member.path} is in package {same.package} since")
            tx.run("rebuild.join_observation", file=member.id, observation=member.observation)
            continue
        later = min((n for n in others if n > ordinal), default=None)
        earlier = max((n for n in others if n < ordinal), default=None)
        if earlier is not None:
            tx.run("rebuild.replaced", id=others[earlier].id, by=member.id)
        rows.append(_row(document, member, others[later].id if later else None))
        fresh.append(member)
    copy_rows(tx, "raw_data_file", _FILE, rows)
    copy_rows(tx, "file_header", ("file", "hdu", "cards"), [
        (member.id, number, cards) for member in fresh for number, cards in enumerate(member.hdus)
    ])  # fmt: skip
    return len(rows)


def _product_of(document: Document) -> str | None:
    told = document.ledger.get("product")
    return as_text(told["id"]) if isinstance(told, Mapping) else None


def _row(document: Document, member: Member, replaced_by: UUID | None) -> tuple[Any, ...]:
    derived, ledger = member.derived, member.ledger
    return (
        member.id, as_text(document.ledger["origin"]), member.path, member.sha256, member.size, 0,
        member.header, [*member.defects], document.night, document.instrument, member.observation,
        replaced_by, _product_of(document), jsonb(derived["attributes"]),
        *(derived[n] for n in _DERIVED), *(ledger[n] for n in _LEDGER),
    )  # fmt: skip
