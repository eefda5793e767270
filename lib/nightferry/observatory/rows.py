"""The rows that observatory.yaml stands for: what differs from the database, and making it so.

Nothing that the ledger speaks of is removed: a location with copies that left the file is drained,
and says so. Sites, telescopes, instruments and programmes are names that history needs: they stay.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nightferry.db import Row, Tx, json
from nightferry.errors import ConfigError
from nightferry.observatory.document import (
    Content,
    Location,
    LocationType,
    Observatory,
    Reap,
    plain,
)  # fmt: skip

Columns = Mapping[str, Any]
_FIXED = ("site", "type", "storage")  # of a location that the ledger speaks of


class Action(enum.Enum):
    ADD = "add"
    CHANGE = "change"
    DRAIN = "drain"  # it left the file, and the ledger still speaks of it
    REMOVE = "remove"


@dataclass(frozen=True)
class Change:
    """One row that differs. ``fields`` holds what it is and what it becomes, by column."""

    kind: str  # "location", "route", …
    name: str
    action: Action
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    becomes: Columns = field(default_factory=dict)


def diff(tx: Tx, observatory: Observatory) -> list[Change]:
    """What ``apply`` would change, in the order in which it would.

    Raises:
        ConfigError: a location that holds copies would become another kind of place.
    """
    before = _before(tx)
    wanted = {
        "site": {n: {"description": s.description} for n, s in observatory.sites.items()},
        "location": _locations(tx, observatory, before["location"]),
        "route": {
            name: {
                "origin": r.from_,
                "destination": r.to,
                "transport": r.transport,
                "priority": r.priority,
                "active": r.active,
                "settings": plain(r.settings),
            }
            for name, r in observatory.routes.items()
        },
        "observatory": {
            name: {"description": it.description} for name, it in observatory.observatories.items()
        },
        "telescope": {
            name: {
                "observatory": place,
                "zone": it.zone,
                "turnover": it.turnover,
                "label": it.label.value,
            }
            for place, name, it in observatory.telescopes
        },
        "instrument": {name: {"telescope": it} for it, name, _ in observatory.instruments},
        "module": {
            f"{name}/{module}": {"instrument": name, "module": module}
            for _, name, it in observatory.instruments
            for module in it.modules
        },
        "program": {
            name: {
                "title": p.title,
                "owner": p.owner,
                "proprietary": p.proprietary,
                "copies": p.copies,
            }
            for name, p in observatory.programs.items()
        },
        "archive_rule": _archive_rules(observatory),
        "policy": {"": {name: getattr(observatory.policy, name) for name in _POLICY}},
    }
    changes = [
        change
        for kind, rows in wanted.items()
        for name, columns in rows.items()
        if (change := _compare(kind, name, columns, before[kind].get(name))) is not None
    ]
    return changes + _gone(tx, before, wanted)


def apply(tx: Tx, observatory: Observatory) -> list[Change]:
    """Makes the rows what the file says, each with an event. Returns what changed.

    Raises:
        ConfigError: as :func:`diff`.
    """
    changes = diff(tx, observatory)
    for change in changes:
        _make(tx, change)
    tx.run("observatory.put_document", document=json(plain(observatory)))
    return changes


_POLICY = (
    "copies",
    "scrub_days",
    "proof_max_age",
    "group_quiet",
    "package_size",
    "bundle_size",
    "reap_files",
    "sweep_temporaries",
    "reap_bytes",
    "backup_max_age",
)


def _before(tx: Tx) -> dict[str, dict[str, dict[str, Any]]]:
    """All rows as they are, by kind and name."""
    kinds = {
        "site": "sites",
        "location": "locations",
        "route": "routes",
        "observatory": "observatories",
        "telescope": "telescopes",
        "instrument": "instruments",
        "module": "modules",
        "program": "programs",
        "archive_rule": "archive_rules",
    }
    found = {
        kind: {row.name: _columns(row) for row in tx.run(f"observatory.{statement}")}
        for kind, statement in kinds.items()
    }
    policy = tx.one("observatory.policy")
    assert policy is not None  # the migration made its one row
    found["policy"] = {"": _columns(policy)}
    return found


def _columns(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name not in ("name", "document")}


def _locations(
    tx: Tx, observatory: Observatory, before: Mapping[str, Columns]
) -> dict[str, dict[str, Any]]:
    policy = tx.one("observatory.policy")
    known = (policy.document if policy else {}).get("locations", {})
    wanted = {}
    for name, place in observatory.locations.items():
        was = before.get(name)
        columns = _location(place)
        # What the file does not say is as a person or the probe left it; but a location that left
        # the file and was drained for it comes back active.
        drained = was is not None and not was["active"] and name in known
        columns["active"] = place.active if place.active is not None else not drained
        if place.best_reading is not None:
            columns["best_reading"] = place.best_reading.value
        else:
            columns["best_reading"] = was["best_reading"] if was else "medium"
        if (
            was
            and any(was[key] != columns[key] for key in _FIXED)
            and _is_used(tx, "location", name)
        ):
            raise ConfigError(
                f"locations: {name}: the ledger knows copies here, so its {', '.join(_FIXED)} "
                "can't change: give the other place a name of its own"
            )
        wanted[name] = columns
    return wanted


def _location(place: Location) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if place.type is LocationType.SOURCE:
        settings["settle"] = plain(place.settle)
    if place.content is not Content.FRAMES:
        settings["content"] = plain(place.content)
    if place.type is LocationType.BUFFER:
        settings["reserve"] = place.reserve
    for key in (
        "ephemeral", "instrument", "program", "telescope", "replayed", "store", "quota",
        "bandwidth",
    ):  # fmt: skip
        if value := plain(getattr(place, key)):
            settings[key] = value
    return {
        "site": place.site,
        "type": place.type.value,
        "storage": place.storage.value,
        "priority": place.priority,
        "failure_domain": place.failure_domain,
        "reap_enabled": place.reap is Reap.ENABLED,
        "keep": place.keep,
        "high": place.high,
        "low": place.low,
        "trash_grace": place.trash_grace,
        "settings": settings,
    }


def _archive_rules(observatory: Observatory) -> dict[str, dict[str, Any]]:
    rules = {"": {"archives": sorted(observatory.archives_for())}}
    for name, program in observatory.programs.items():
        if program.archives is not None:
            rules[name] = {"archives": sorted(program.archives)}
    return rules


def _compare(kind: str, name: str, columns: Columns, was: Columns | None) -> Change | None:
    if was is None:
        fields = {
            key: (None, value) for key, value in columns.items() if value not in (None, "", {})
        }
        return Change(kind, name, Action.ADD, fields, columns)
    fields = {key: (was[key], value) for key, value in columns.items() if was[key] != value}
    return Change(kind, name, Action.CHANGE, fields, columns) if fields else None


def _gone(
    tx: Tx,
    before: Mapping[str, Mapping[str, Columns]],
    wanted: Mapping[str, Mapping[str, Columns]],
) -> list[Change]:
    changes = []
    for name in sorted(set(before["archive_rule"]) - set(wanted["archive_rule"])):
        fields = {"archives": (before["archive_rule"][name]["archives"], None)}
        changes.append(Change("archive_rule", name, Action.REMOVE, fields))
    for kind in ("route", "location"):  # a route names two locations: it goes first
        for name in sorted(set(before[kind]) - set(wanted[kind])):
            if not _is_used(tx, kind, name):
                changes.append(Change(kind, name, Action.REMOVE))
            elif before[kind][name]["active"]:
                changes.append(Change(kind, name, Action.DRAIN, {"active": (True, False)}))
    return changes


def _is_used(tx: Tx, kind: str, name: str) -> bool:
    row = tx.one(f"observatory.{kind}_is_used", name=name)
    return row is not None and bool(row.used)


def _make(tx: Tx, change: Change) -> None:
    match change.action, change.kind:
        case Action.REMOVE, "archive_rule":
            tx.run("observatory.drop_archive_rule", name=change.name)
        case Action.REMOVE, kind:
            tx.run(f"observatory.remove_{kind}", name=change.name)
        case Action.DRAIN, kind:
            tx.run(f"observatory.drain_{kind}", name=change.name)
        case _, "policy":
            tx.run("observatory.put_policy", **change.becomes)
        case _, kind:
            if kind == "archive_rule":
                tx.run("observatory.drop_archive_rule", name=change.name)
            columns = {k: json(v) if k == "settings" else v for k, v in change.becomes.items()}
            tx.run(f"observatory.put_{kind}", name=change.name, **columns)
    if change.kind == "location" and change.action is not Action.REMOVE:
        return  # a trigger of its table tells
    detail = {
        key: {"was": plain(was), "is": plain(now)} for key, (was, now) in change.fields.items()
    }
    what = f"{change.kind.replace('_', ' ')} {_PAST[change.action]}"
    tx.run("event.tell", what=what, subject=change.name, detail=json(detail))


_PAST = {
    Action.ADD: "added",
    Action.CHANGE: "changed",
    Action.DRAIN: "drained",
    Action.REMOVE: "removed",
}
