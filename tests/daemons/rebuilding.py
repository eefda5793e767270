"""A site whose nights are archived, and the empty database that its archives are to fill again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from nightferry import locations, observatory
from nightferry.cli import nf
from nightferry.db import Database
from nightferry.filing import Filing, file_observation
from nightferry.rebuilding.lacking import NOT_WRITTEN

from tests.daemons.ground import Ground, frame
from tests.typed import Nf

# What carries results on that were handed in.
AFTERWARDS = (
    ("center", "verify"), ("center", "package"), ("center", "verify"), ("center", "archive"),
    ("center", "verify"),
)  # fmt: skip
ARCHIVES = ("archive-a", "archive-b")
# How the rows of each table are found in both ledgers, and put in the same order.
TABLES = {
    "raw_data_package": "SELECT * FROM raw_data_package WHERE state = 'packed' ORDER BY id",
    "raw_data_file": "SELECT f.* FROM raw_data_file f JOIN package_member m ON m.file = f.id ORDER BY f.id",
    "file_header": "SELECT h.* FROM file_header h JOIN package_member m USING (file) ORDER BY file, hdu",
    "package_member": "SELECT * FROM package_member ORDER BY file",
    "executed_obs_unit": "SELECT * FROM executed_obs_unit ORDER BY id",
    "obs_unit": "SELECT * FROM obs_unit ORDER BY id",
    "filed_file": "SELECT x.* FROM filed_file x WHERE EXISTS (SELECT FROM raw_data_file f JOIN package_member m ON m.file = f.id"
                  " WHERE (f.location, f.path) = (x.location, x.path)) ORDER BY x.path",
    "data_product": "SELECT * FROM data_product ORDER BY id",
    "data_product_source": "SELECT * FROM data_product_source ORDER BY product, file",
    "physical_copy": "SELECT * FROM physical_copy WHERE location LIKE 'archive-%%' ORDER BY location, path",
    "instrument": "SELECT * FROM instrument ORDER BY name",
}  # fmt: skip

# Columns that say the same of all that was packed, and why.
ALWAYS_SO = {
    "raw_data_file.handling": "an ephemeral file is never packed",
    "raw_data_file.ephemeral_until": "an ephemeral file is never packed",
    "raw_data_package.dissolved_because": "what was dissolved is in no archive",
    "physical_copy.file": "packages alone lie in the archives here",
    "physical_copy.temporary": "a copy that arrives is not rebuilt",
    "physical_copy.site": "both archives are of the site that rebuilds",
    "obs_unit.site": "it was filed at the site that rebuilds",
    "data_product.site": "it was handed in at the site that rebuilds",
}


def every_column(database: Database) -> dict[str, dict[str, str]]:
    """Of every table of the ledger its columns, each with what stands in it if nobody says it."""
    found: dict[str, dict[str, str]] = {}
    for table, column, usual in database.run(lambda tx: tx.execute(COLUMNS, ())):
        found.setdefault(table, {})[column] = usual
    return found


COLUMNS = """SELECT c.table_name::text, c.column_name::text, coalesce(c.column_default, 'NULL')
FROM information_schema.columns c JOIN pg_class r ON r.oid = c.table_name::regclass
WHERE c.table_schema = 'public' AND r.relkind IN ('r', 'p') AND NOT r.relispartition ORDER BY 1, 2"""


def rows(database: Database, table: str) -> list[dict[str, Any]]:
    """All rows, less the columns that a rebuild says it can't give back."""
    lacking = NOT_WRITTEN.get(table, {})
    found = database.run(lambda tx: tx.execute(TABLES[table], ()))
    return [{k: v for k, v in r._mapping.items() if k not in lacking} for r in found]


PROGRAMS = {
    "programs": {
        "U042": {"title": "Clusters", "owner": "mira", "proprietary": "1 year"},
        "U043": {},
    }
}


def two_nights(site: Ground) -> None:
    site.frames(4)
    site.put("u/d1.fits", frame(11, PROPID="U042", EXPTIME=30.5, RA="05:30:00", DEC="-5:00:00"))
    site.put("u/d2.fits", frame(12, PROPID="U042", OBJECT="M 42"))
    site.put("filed/f1.fits", frame(21))
    site.put("notes.txt", b"no frame at all\n")
    site.put("broken.fits", frame(31)[:1000])
    site.put("caf\xe9 100% \\ odd.fits", frame(32))
    filing = Filing(
        "simulated", program="U042", unit="M42 deep", target="M 42", owner="mira",
        began=datetime(2026, 3, 15, 2, tzinfo=UTC), location="dome-source",
        files=("filed/f1.fits", "filed/never-came.fits"),
        complete=True,
    )  # fmt: skip
    site.db.run(lambda tx: file_observation(tx, filing, "dome", {"instrument": "simulated"}))
    site.put("u/whole.fits", frame(14, FILTER="V", AIRMASS=1.2, RA=10.5, DEC=-5.0))
    site.travel()
    # A late file, a rewritten header, a reused name: supplementary packages.
    site.put("late.fits", frame(41))
    site.put("u/d1.fits", frame(11, PROPID="U042", OBSERVER="corrected"))
    site.put("u/d2.fits", frame(13, PROPID="U042"))
    site.travel()
    # Results that were made of two of them.
    results = site.sites.folder / "results"
    results.mkdir()
    (results / "clusters.fits").write_bytes(frame(7, OBJECT="M 42"))
    handed_in = ["return", str(results), "--note", "by hand"]
    handed_in += ["--from", "late.fits", "--from", "f1.fits"]
    done = CliRunner().invoke(nf, ["--config", str(site.sites.config("center")), *handed_in])
    assert done.exit_code == 0, done.output
    for where, daemon in AFTERWARDS:
        site.once(where, daemon)
    site.ask("UPDATE raw_data_file SET quality = 'bad' WHERE path = 'late.fits'")


class Empty:
    """An empty database, with the same observatory and the same archives."""

    def __init__(self, site: Ground, dsn: str, folder: Path) -> None:
        self.database = Database(dsn, actor="test", site="center", host="center")
        document = observatory.load(site.sites.folder / "etc" / "observatory.yaml")
        self.database.run(lambda tx: observatory.apply(tx, document))
        for name in ARCHIVES:
            self.database.run(lambda tx, n=name: locations.init(tx, n, site.sites.path(n)))  # type: ignore[misc]
        places = {name: str(site.sites.path(name)) for name in ARCHIVES}
        self.nf = Nf(dsn, folder, json.dumps(places))
        self.dsn = dsn

    def one(self, text: str) -> Any:
        ((value,),) = self.database.run(lambda tx: tx.execute(text))
        return value
