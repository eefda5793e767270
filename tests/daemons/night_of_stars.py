"""EY UMa's night, as tables of measured stars, and the stars of its field."""

import io
from pathlib import Path

from astropy.table import Table
from nightferry.catalogs import definitions
from nightferry.catalogs.files import read
from nightferry.catalogs.loading import store

from tests.daemons.ground import Ground

EYUMA = "photometry/eyuma"
NIGHT = f"{EYUMA}/2014-12-29-ey-uma-9.fits"
REFCAT2 = f"{EYUMA}/all_refcat2_ey_uma.ecsv"


def exposures(night_data: Path, count: int) -> list[bytes]:
    """The first exposures of EY UMa's night, a table each."""
    table = Table.read(night_data / NIGHT)
    made = []
    for stamp in sorted(set(table["date-obs"]))[:count]:
        text = io.StringIO()
        table[table["date-obs"] == stamp].write(text, format="ascii.ecsv")
        made.append(text.getvalue().encode())
    return made


def load_stars(site: Ground, night_data: Path) -> None:
    definition, found = read(night_data / REFCAT2, definitions())
    site.db.run(lambda tx: store(tx, definition, found, "a test"))
