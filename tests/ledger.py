"""Rows as the daemons leave them: a small observatory and its files, for tests of what reads them.

One dome with a SOURCE and a BUFFER, a data centre with a BUFFER and two archives in different
failure domains. Bytes are named by their content; nothing is on any disk.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from nightferry.db import Database, Row

NIGHT = date(2024, 5, 12)
# That night at Lick: from local noon to local noon.
NOON = datetime(2024, 5, 12, 19, tzinfo=UTC)
NOON_AFTER = NOON + timedelta(days=1)

_OBSERVATORY = """
INSERT INTO site (name) VALUES ('dome'), ('centre');
INSERT INTO data_location (name, site, type, failure_domain, keep) VALUES
  ('dome-disk', 'dome', 'SOURCE', 'dome-disk', '7 days'),
  ('dome-buffer', 'dome', 'BUFFER', 'dome-raid', '30 days'),
  ('centre-buffer', 'centre', 'BUFFER', 'centre-raid', '30 days'),
  ('vault-a', 'centre', 'LONG_TERM_ARCHIVE', 'hall-a', NULL),
  ('vault-b', 'centre', 'LONG_TERM_ARCHIVE', 'hall-b', NULL);
INSERT INTO route (name, origin, destination) VALUES
  ('dome-centre', 'dome-buffer', 'centre-buffer');
INSERT INTO program_archive (location) VALUES ('vault-a'), ('vault-b');
INSERT INTO observatory (name) VALUES ('Lick');
INSERT INTO telescope (name, observatory, zone) VALUES ('Nickel', 'Lick', 'America/Los_Angeles');
INSERT INTO instrument (name, telescope) VALUES ('nickel', 'Nickel'), ('unknown', NULL);
"""


@dataclass(frozen=True)
class File:
    id: UUID
    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Package:
    id: UUID
    name: str
    path: str
    sha256: str
    size: int


class Ledger:
    """Writes rows into the database ``dsn``."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.database = Database(dsn, actor="test")
        self._packages = 0

    def execute(self, text: str, *values: object) -> list[Row]:
        return self.database.run(lambda tx: tx.execute(text, values))

    def observatory(self) -> "Ledger":
        """The sites and places; the night's SOURCE is looked through to its end."""
        self.database.run(lambda tx: tx.driver.execute(_OBSERVATORY.encode()))
        self.execute("SELECT trust_incarnation('a clone of the template')")
        self.sweep("dome-disk")
        return self

    def sweep(self, location: str, began: datetime | None = None, **state: object) -> None:
        """A full sweep of ``location`` that began then, or now, and ended; more of its state."""
        began = began or datetime.now(UTC)
        ended = began + timedelta(seconds=2)
        values: dict[str, object] = {
            "state": "available", "full_sweep_began": began,
            "full_sweep_ended": ended, "last_sweep_ended": ended,
            "total_bytes": 4 * 10**12, "free_bytes": 10**12, "hints": "inotify",
        } | state  # fmt: skip
        columns = ", ".join(values)
        changes = ", ".join(f"{c} = EXCLUDED.{c}" for c in values)
        self.execute(
            f"INSERT INTO location_state (location, host, {columns})"
            f" VALUES (%s, 'dome1'{', %s' * len(values)})"
            f" ON CONFLICT (location, host) DO UPDATE SET {changes}",
            location, *values.values(),
        )  # fmt: skip

    def file(self, path: str, content: bytes | None = None, **columns: object) -> File:
        """A file that ingest registered, present at its SOURCE."""
        content = path.encode() if content is None else content
        values: dict[str, object] = {
            "location": "dome-disk",
            "sha256": sha256(content).hexdigest(), "size": len(content),
            "mtime_ns": 1, "ctime_ns": 1,
            "header": "whole", "night": NIGHT, "night_from": "exposure",
            "clock": "good", "instrument": "nickel", "frame_type": "science",
            "exposure_start": NOON + timedelta(hours=9),
        } | columns  # fmt: skip
        row = self.execute(
            f"INSERT INTO raw_data_file (path, {', '.join(values)})"
            f" VALUES (%s{', %s' * len(values)}) RETURNING id, sha256, size",
            path, *values.values(),
        )[0]  # fmt: skip
        file = File(row.id, path, row.sha256, row.size)
        if values.get("handling") != "adopted":
            self.copy(file, str(values["location"]))
        return file

    def package(self, *files: File, packed: bool = True, night: date = NIGHT) -> Package:
        """A package of ``files``, its bytes known unless it is only planned."""
        self._packages += 1
        name = f"nickel-{night}-{self._packages:012x}"
        digest, size = sha256(name.encode()).hexdigest(), sum(f.size for f in files) + 10240
        bytes_known = ("packed", digest, size, datetime.now(UTC))
        if not packed:
            bytes_known = ("planned", None, None, None)
        row = self.execute(
            "INSERT INTO raw_data_package (name, path, night, members, state, sha256, size, packed,"
            " origin, instrument, document)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'dome-disk', 'nickel', '{}') RETURNING id",
            name, f"nickel/{night}/{name}.tar", night, len(files), *bytes_known,
        )[0]  # fmt: skip
        for offset, file in enumerate(files):
            self.execute(
                "INSERT INTO package_member (package, file, data_offset) VALUES (%s, %s, %s)",
                row.id, file.id, 512 * offset,
            )  # fmt: skip
        return Package(row.id, name, f"nickel/{night}/{name}.tar", digest, size)

    def copy(
        self,
        thing: File | Package,
        location: str,
        state: str = "present",
        ago: timedelta = timedelta(),
    ) -> UUID:
        """A copy of ``thing`` at ``location``, made ``ago``."""
        row = self.execute(
            "INSERT INTO physical_copy"
            " (file, package, location, path, temporary, state, sha256, size, created)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, now() - %s) RETURNING id",
            thing.id if isinstance(thing, File) else None,
            thing.id if isinstance(thing, Package) else None,
            location, thing.path, ".t.part" if state == "arriving" else None, state,
            thing.sha256, thing.size, ago,
        )[0]  # fmt: skip
        copy: UUID = row.id
        return copy

    def read(self, copy: UUID, ago: timedelta = timedelta(), outcome: str = "good") -> None:
        """The copy was read in full at its place, ``ago``."""
        self.execute(
            "INSERT INTO verification (copy, began, ended, outcome, sha256, size, how, host)"
            " SELECT id, now() - %s - interval '1 second', now() - %s, %s, sha256, size, 'medium',"
            " 'centre1' FROM physical_copy WHERE id = %s",
            ago, ago, outcome, copy,
        )  # fmt: skip

    def archive(
        self, thing: File | Package, *locations: str, ago: timedelta = timedelta()
    ) -> list[UUID]:
        """Present and read well at both archives, or at those named."""
        copies = []
        for location in locations or ("vault-a", "vault-b"):
            copies.append(self.copy(thing, location, ago=ago))
            self.read(copies[-1], ago)
        return copies
