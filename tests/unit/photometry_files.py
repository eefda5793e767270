"""Tables of measured stars as somebody's pipeline writes them, good and bad."""

import io
from typing import Any

import numpy as np
from astropy.table import Table

from tests.unit.photometry_sky import catalogue, observe

_RNG = np.random.default_rng(1)
SKY = catalogue(_RNG, 80)
SEEN, TRUTH = observe(_RNG, SKY)


def table(**columns: Any) -> Table:
    """A table of the stars that are seen; a column of None is left out."""
    made = {
        "ra": SEEN.ra, "dec": SEEN.dec, "flux": 10 ** (-0.4 * SEEN.magnitude) * SEEN.seconds,
        "mag_err": SEEN.error, "filter": ["R"] * len(SEEN), "exptime": [60.0] * len(SEEN),
        "date-obs": ["2015-07-02T11:59:30"] * len(SEEN), "gain": [1.0] * len(SEEN),
    } | {name.replace("_obs", "-obs"): values for name, values in columns.items()}  # fmt: skip
    return Table({name: values for name, values in made.items() if values is not None})


def written(it: Table, form: str) -> bytes:
    if form == "fits":
        out = io.BytesIO()
        it.write(out, format="fits")
        return out.getvalue()
    text = io.StringIO()
    it.write(text, format=f"ascii.{form}")
    return text.getvalue().encode()


def with_unit(values: Any, unit: str) -> Any:
    return Table({"it": values}, units={"it": unit})["it"]


NAN = np.full(80, np.nan)
# What is wrong, the reason, and what of the stars is left for a plot.
NOTHING, PLACES, MAGNITUDES, BOTH = frozenset(""), frozenset("p"), frozenset("m"), frozenset("pm")
BAD = [
    (table()[:0], "no stars", NOTHING),
    (table(flux=NAN), "no usable stars", PLACES),
    (table(flux=-np.ones(80)), "no usable stars", PLACES),
    (table(flags=np.full(80, 4)), "all saturated", BOTH),
    (table(exptime=None), "no exposure time", BOTH),
    (table(exptime=np.zeros(80)), "no exposure time", BOTH),
    (table(date_obs=None), "no date", BOTH),
    (table(date_obs=["yesterday"] * 80), "no date", BOTH),
    (table(date_obs=None, mjd=["late"] * 80), "no date", BOTH),
    (table(gain=np.zeros(80)), "zero gain", BOTH),
    (table(filter=["Halpha"] * 80), "unknown filter", BOTH),
    (table(filter=None), "unknown filter", BOTH),
    (table(filter=["zP1"] * 80), "outside every transformation", BOTH),
    (table(filter=["R", "V"] * 40), "mixed bands", BOTH),
    (table(flux=None), "no magnitudes", PLACES),
    (table(ra=None), "no positions", MAGNITUDES),
    (table(ra=None, flux=None), "no positions", NOTHING),
    (table(ra=with_unit(SEEN.ra / 15, "hourangle")), "positions in hours", BOTH),
    (table(ra=["10:00:00.0"] * 80), "positions in hours", BOTH),
    (table(ra=SEEN.ra / 15), "positions in hours", BOTH),  # and no unit that says so
    (table(dec=SEEN.dec * 60), "wrong units", BOTH),
    (table(flux=None, mag=with_unit(SEEN.magnitude, "Jy")), "wrong units", PLACES),
    (table(flux=["bright"] * 80), "wrong units", PLACES),
    (table(flags=["good"] * 80), "wrong units", BOTH),
    (table(ra=2 * SEEN.ra.mean() - SEEN.ra), "no match", BOTH),  # mirrored
    (table(ra=150 + 3 * (SEEN.ra - 150), dec=30 + 3 * (SEEN.dec - 30)), "no match", BOTH),  # scale
    (table(ra=np.linspace(149.9, 150.1, 80), dec=np.full(80, 30.0)), "no match", BOTH),  # a trail
    (table()[:1], "too few stars", BOTH),
]  # fmt: skip
