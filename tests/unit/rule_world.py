"""A small world in which the deletion rule is asked: real rows, and the rule again in plain Python.

Each thing that happens is written to both. The model knows of no table: only what happened.

Over 300 lines: all that can happen, and each clause of the rule, is read side by side.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection

from tests.ledger import NIGHT, Ledger

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
READINGS = ("cache", "remote", "medium")  # from the weakest to the best
ARCHIVES = ("vault-a", "vault-b", "vault-c")  # b and c fail together
EMPTIED = ("dome-disk", "dome-buffer", "centre-buffer")
TOTAL = 1000
HOSTS = ("dome1", "dome2")  # that measure its disks
FRESH = 5 * MINUTE  # how long a measurement of a disk is believed


@dataclass
class Location:
    type: str
    domain: str
    enabled: bool = True
    keep: timedelta | None = 7 * DAY
    low: float | None = None
    active: bool = True
    best_reading: str = "medium"


@dataclass
class Thing:
    """A file or a package."""

    id: UUID
    is_package: bool
    night: Any = NIGHT
    program: str | None = None
    package: str | None = None  # of a file: the name of its package
    packed: bool = True
    replaced: bool = False
    ephemeral_until: datetime | None = None


@dataclass
class Reading:
    began: datetime
    ended: datetime
    how: str


@dataclass
class Copy:
    id: UUID
    thing: str
    location: str
    created: datetime
    state: str = "present"
    readings: list[Reading] = field(default_factory=list)  # the good ones


@dataclass
class Deletion:
    id: UUID
    thing: str
    reason: str
    nominated: datetime


@dataclass
class World:
    """What happened, and the connection whose open transaction holds its rows."""

    db: "Connection[Any]"
    now: datetime
    locations: dict[str, Location]
    things: dict[str, Thing]
    copies: list[Copy]
    deletions: dict[str, Deletion] = field(default_factory=dict)  # the last, by thing
    holds: dict[str, bool] = field(default_factory=dict)  # what is held
    measured: dict[tuple[str, str], tuple[datetime, int]] = field(default_factory=dict)
    asked: dict[str, set[str]] = field(default_factory=lambda: {"": {"vault-a", "vault-b"}})
    copies_of: dict[str, int] = field(default_factory=dict)  # by programme, where it says so
    copies_wanted: int = 2
    proof_max_age: timedelta = 72 * HOUR
    unpacking: bool = False  # a request waits for the package to be unpacked
    crossing: bool = False  # an open bundle has the package, out of the dome's buffer
    trusted: bool = True
    stopped: bool = False

    # --- what happens: each is written to the database, and noted

    def set_state(self, copy: int, state: str) -> None:
        c = self.copies[copy % len(self.copies)]
        self._sql("UPDATE physical_copy SET state = %s WHERE id = %s", state, c.id)
        c.state = state

    def read(self, archive: str, ago: timedelta, how: str, outcome: str) -> None:
        """Of the package's copy there, by verify, which also says what the copy is from now on."""
        for c in self.copies:
            if c.location == archive and c.thing == "package":
                ended = self.now - ago
                began = ended - 3 * MINUTE
                self._sql(
                    "INSERT INTO verification (copy, began, ended, outcome, sha256, size, how, host)"
                    " SELECT id, %s, %s, %s, sha256, size, %s, 'h' FROM physical_copy WHERE id = %s",
                    began, ended, outcome, how, c.id,
                )  # fmt: skip
                state = {"good": "present", "differs": "corrupt", "unreadable": "suspect"}[outcome]
                self._sql("UPDATE physical_copy SET state = %s WHERE id = %s", state, c.id)
                c.state = state
                if outcome == "good":
                    c.readings.append(Reading(began, ended, how))

    def hold(self, what: str, lift: bool) -> None:
        """``what``: the name of a thing, or a night."""
        column, value = "night", what
        if what in self.things:
            column = "package" if self.things[what].is_package else "file"
            value = str(self.things[what].id)
        if lift:
            self._sql(f"UPDATE hold SET lifted = now(), lifted_by = 'x' WHERE {column} = %s", value)
        else:
            self._sql(f"INSERT INTO hold ({column}, reason) VALUES (%s, 'referee')", value)
        self.holds[what] = not lift

    def nominate(self, thing: str, reason: str, ago: timedelta) -> None:
        t, nominated = self.things[thing], self.now - ago
        column = "package" if t.is_package else "file"
        self._sql(
            f"UPDATE deletion SET closed = now() WHERE {column} = %s AND closed IS NULL", t.id
        )
        ((id,),) = self._sql(
            f"INSERT INTO deletion ({column}, reason, nominated) VALUES (%s, %s, %s) RETURNING id",
            t.id, reason, nominated,
        )  # fmt: skip
        self._sql(
            "INSERT INTO deletion_copy (deletion, copy) SELECT %s, c.id FROM physical_copy c"
            " JOIN data_location l ON l.name = c.location AND l.type <> 'LONG_TERM_ARCHIVE'"
            " LEFT JOIN package_member m ON m.file = c.file"
            " WHERE %s IN (c.package, m.package, c.file)", id, t.id,
        )  # fmt: skip
        self.deletions[thing] = Deletion(id, thing, reason, nominated)

    def replace_at_path(self, file: str, by: str) -> None:
        t = self.things[file]
        update = "UPDATE raw_data_file SET replaced_by = %s WHERE id = %s"
        self._sql(update, self.things[by].id, t.id)
        t.replaced = True

    def plan_again(self) -> None:
        self._sql(
            "UPDATE raw_data_package SET state = 'planned', packed = NULL, sha256 = NULL, size = NULL"
            " WHERE id = %s", self.things["package"].id,
        )  # fmt: skip
        self.things["package"].packed = False

    def move_to_programme(self, thing: str, program: str | None) -> None:
        t = self.things[thing]
        table = "raw_data_package" if t.is_package else "raw_data_file"
        self._sql(f"UPDATE {table} SET program = %s WHERE id = %s", program, t.id)
        t.program = program

    def configure(self, location: str, change: Mapping[str, Any]) -> None:
        columns = {"type": None, "domain": "failure_domain", "enabled": "reap_enabled"}
        for name, value in change.items():
            column = columns.get(name) or name
            self._sql(f"UPDATE data_location SET {column} = %s WHERE name = %s", value, location)
        self.locations[location] = replace(self.locations[location], **change)

    def set_low_mark(self, location: str, low: float | None) -> None:
        high = None if low is None else 0.9
        self._sql(
            "UPDATE data_location SET low = %s, high = %s WHERE name = %s", low, high, location
        )
        self.locations[location].low = low

    def measure(self, location: str, host: str, ago: timedelta, used: int) -> None:
        # No two hosts look at the same instant: nothing would say which look is the newest.
        when = self.now - ago - timedelta(microseconds=HOSTS.index(host))
        self._sql(
            "INSERT INTO location_state (location, host, state, total_bytes, free_bytes, measured)"
            " VALUES (%s, %s, 'available', %s, %s, %s) ON CONFLICT (location, host) DO UPDATE"
            " SET free_bytes = EXCLUDED.free_bytes, measured = EXCLUDED.measured",
            location, host, TOTAL, TOTAL - used, when,
        )  # fmt: skip
        self.measured[location, host] = (when, used)

    def ask_archive(self, program: str, archive: str, asked: bool) -> None:
        if asked:
            insert = "INSERT INTO program_archive VALUES (%s, %s) ON CONFLICT DO NOTHING"
            self._sql(insert, program, archive)
            self.asked.setdefault(program, set()).add(archive)
        else:
            delete = "DELETE FROM program_archive WHERE program = %s AND location = %s"
            self._sql(delete, program, archive)
            self.asked.setdefault(program, set()).discard(archive)

    def want_copies(self, program: str | None, copies: int | None) -> None:
        if program is None:
            self.copies_wanted = copies or 2
            self._sql("UPDATE policy SET copies = %s", self.copies_wanted)
            return
        self._sql("UPDATE observing_program SET copies = %s WHERE name = %s", copies, program)
        self.copies_of.pop(program, None)
        if copies is not None:
            self.copies_of[program] = copies

    def set_proof_max_age(self, age: timedelta) -> None:
        self._sql("UPDATE policy SET proof_max_age = %s", age)
        self.proof_max_age = age

    def keep_ephemeral(self, ago: timedelta) -> None:
        until = self.now - ago
        t = self.things["ephemeral"]
        self._sql("UPDATE raw_data_file SET ephemeral_until = %s WHERE id = %s", until, t.id)
        t.ephemeral_until = until

    def send(self, is_open: bool) -> None:
        self._sql("UPDATE data_transfer_package SET closed = now() WHERE closed IS NULL")
        if is_open:
            ((bundle,),) = self._sql(
                "INSERT INTO data_transfer_package (route, priority, size)"
                " VALUES ('dome-centre', 100, 1) RETURNING id"
            )
            insert = "INSERT INTO data_transfer_member VALUES (%s, %s)"
            self._sql(insert, bundle, self.things["package"].id)
        self.crossing = is_open

    def unpack(self, wanted: bool) -> None:
        self._sql("UPDATE staged_package SET state = 'gone'")
        if wanted:
            self._sql(
                "INSERT INTO staged_package (package, location, path, size)"
                " VALUES (%s, 'cluster', 'staged/it', 1)", self.things["package"].id,
            )  # fmt: skip
        self.unpacking = wanted

    def restore(self, trust: bool) -> None:
        if trust:
            self._sql("SELECT trust_incarnation('audited')")
        else:
            self._sql(
                "INSERT INTO incarnation (system_identifier, timeline, database_oid, reason)"
                " VALUES (1, 1, 1, 'another server')"
            )
        self.trusted = trust

    def stop(self, on: bool) -> None:
        if on:
            self._sql("INSERT INTO deletion_stop (reason) VALUES ('fire')")
        else:
            self._sql("UPDATE deletion_stop SET resumed = now(), resumed_by = 'x'")
        self.stopped = on

    # --- the rule, as docs/deletion-rule.md has it

    def rule(self, copy: Copy, deletion: Deletion | None, again: bool) -> dict[str, bool]:
        """Each clause, and whether it holds for this copy."""
        thing, location = self.things[copy.thing], self.locations[copy.location]
        package = thing if thing.is_package else self.things.get(thing.package or "")
        ephemeral = thing.ephemeral_until is not None
        program = (package.program if package else None) or (
            None if thing.is_package else thing.program
        )
        needed = 0 if ephemeral else self.copies_of.get(program or "", self.copies_wanted)
        holding, proven = self._survivors(copy, package or thing, deletion, again)
        return {
            "present": copy.state == "present" or (again and copy.state == "deleting"),
            "place": location.type in ("SOURCE", "BUFFER"),
            "enabled": location.enabled,
            "policy": self._is_due(copy, thing, location)
            or (deletion is not None and deletion.reason == "pressure" and not ephemeral
                and self._is_full(copy.location)),
            "version": not thing.replaced and (ephemeral or (package is not None and package.packed)),
            "copies": len(holding) >= needed,
            "proof": needed == 0
            or (deletion is not None and len(proven) >= min(needed, len(holding))),
            "unneeded": not self._awaited(copy, package, program),
            "hold": not any(self.holds.get(what) for what in self._holdable(thing, package)),
            "database": self.trusted,
            "switch": not self.stopped,
        }  # fmt: skip

    def _is_due(self, copy: Copy, thing: Thing, location: Location) -> bool:
        if thing.ephemeral_until is not None:
            return thing.ephemeral_until < self.now
        return location.keep is not None and copy.created + location.keep < self.now

    def _is_full(self, name: str) -> bool:
        location = self.locations[name]
        looks = [m for (place, _), m in self.measured.items() if place == name]
        if location.low is None or location.type not in ("SOURCE", "BUFFER") or not looks:
            return False
        when, used = max(looks)
        return when > self.now - FRESH and used > location.low * TOTAL

    def _survivors(
        self, copy: Copy, subject: Thing, deletion: Deletion | None, again: bool
    ) -> tuple[set[str], set[str]]:
        """The failure domains of the archives that hold it, and of those that were read well since
        the nomination."""
        holding, proven = set(), set()
        for other in self.copies:
            place = self.locations[other.location]
            if (
                other is copy or self.things[other.thing] is not subject
                or place.type != "LONG_TERM_ARCHIVE" or other.state != "present"
            ):  # fmt: skip
                continue
            holding.add(place.domain)
            last = max(other.readings, key=lambda r: r.ended, default=None)
            if (
                last is not None and deletion is not None and last.began >= deletion.nominated
                and READINGS.index(last.how) >= READINGS.index(place.best_reading)
                and (again or last.ended > self.now - self.proof_max_age)
            ):  # fmt: skip
                proven.add(place.domain)
        return holding, proven

    def _awaited(self, copy: Copy, package: Thing | None, program: str | None) -> bool:
        if package is not None and self.unpacking:
            return True
        if package is None or self.locations[copy.location].type != "BUFFER":
            return False
        present = {c.location for c in self.copies
                   if self.things[c.thing] is package and c.state == "present"}  # fmt: skip
        asked = self.asked.get(program or "") or self.asked[""]
        archives = {a for a in asked if self.locations[a].active}
        if package.packed and archives - present:
            return True
        return (
            self.crossing and copy.location == "dome-buffer" and self.things[copy.thing].is_package
        )

    def _holdable(self, thing: Thing, package: Thing | None) -> Iterator[str]:
        names = {id(t): name for name, t in self.things.items()}
        yield names[id(thing)]
        yield str(thing.night)
        if package is not None:
            yield names[id(package)]
            yield str(package.night)
        if thing.is_package:
            yield from (n for n, t in self.things.items() if t.package == names[id(thing)])

    # --- and as the database has it

    def asks(self) -> Iterator[tuple[Copy, Deletion | None, bool]]:
        for copy in self.copies:
            thing = self.things[copy.thing]
            for deletion in {None, thing.package or copy.thing}:
                for again in (False, True):
                    yield copy, self.deletions.get(deletion or ""), again

    def answers(self) -> Iterator[dict[str, bool]]:
        """Of deletion_clauses, to each of asks."""
        asks = list(self.asks())
        found: list[dict[str, bool]] = [{} for _ in asks]
        rows = self._sql(
            "SELECT a.n, r.clause, r.holds FROM unnest(%s::uuid[], %s::uuid[], %s::boolean[])"
            " WITH ORDINALITY a (copy, deletion, again, n)"
            " CROSS JOIN LATERAL deletion_clauses(a.copy, a.deletion, a.again) r",
            [c.id for c, _, _ in asks], [d and d.id for _, d, _ in asks], [g for *_, g in asks],
        )  # fmt: skip
        for n, clause, holds in rows:
            found[n - 1][clause] = holds
        yield from found

    def _sql(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self.db.execute(text.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def build(dsn: str) -> None:
    """The world before anything happens, committed: a package of two frames at two archives, in both
    buffers and where it is worked on, a frame in no package, and one that is ephemeral."""
    ledger = Ledger(dsn).observatory()
    ledger.execute(
        "INSERT INTO data_location (name, site, type, failure_domain) VALUES"
        " ('vault-c', 'centre', 'LONG_TERM_ARCHIVE', 'hall-b'),"
        " ('cluster', 'centre', 'PROCESSING', 'cluster')"
    )
    ledger.execute("UPDATE data_location SET reap_enabled = true, keep = '7 days'")
    ledger.execute("INSERT INTO observing_program (name) VALUES ('deep')")
    ledger.execute("DELETE FROM location_state")
    frames = [ledger.file(f"f{number}.fits") for number in (1, 2)]
    ledger.file("loose.fits")
    ledger.file("ephemeral.fits", handling="ephemeral", ephemeral_until="2024-05-20")
    package = ledger.package(*frames)
    for location in ("dome-buffer", "centre-buffer", "vault-a", "vault-b", "vault-c", "cluster"):
        ledger.copy(package, location, "missing" if location == "vault-c" else "present")
    ledger.execute("UPDATE physical_copy SET created = now() - interval '100 days'")
    ledger.database.close()


def world(db: "Connection[Any]") -> World:
    """That world, in a transaction that was just begun."""
    ((now,),) = db.execute("SELECT now()").fetchall()
    rows = db.execute("SELECT name, type::text, failure_domain FROM data_location").fetchall()
    locations = {name: Location(kind, domain) for name, kind, domain in rows}
    things = {
        path.removesuffix(".fits"): Thing(id, False, ephemeral_until=until,
                                          package="package" if packed else None)
        for id, path, packed, until in db.execute(
            "SELECT id, path, in_package, ephemeral_until FROM raw_data_file"
        )
    }  # fmt: skip
    ((package,),) = db.execute("SELECT id FROM raw_data_package").fetchall()
    things["package"] = Thing(package, True)
    names = {t.id: name for name, t in things.items()}
    copies = [
        Copy(id, names[thing], location, created, state)
        for id, thing, location, created, state in db.execute(
            "SELECT id, coalesce(package, file), location, created, state::text"
            " FROM physical_copy ORDER BY created, id"
        )
    ]
    return World(db, now, locations, things, copies)
