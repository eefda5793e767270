"""A frame of the simulated camera's night of any size: no picture, but a FITS file to its end."""

import os

from tests.daemons.ground import card, fits_of


def large_frame(size: int) -> bytes:
    """With so many bytes of data, which nothing makes smaller."""
    cards = {
        "SIMPLE": True, "BITPIX": 8, "NAXIS": 1, "NAXIS1": size, "IMAGETYP": "OBJECT",
        "INSTRUME": "Nightferry simulated camera", "OBJECT": "M 31", "EXPTIME": 30.0,
        "OBSNUM": 900, "DATE-BEG": "2026-03-15T02:30:00.000", "TIMESYS": "UTC",
    }  # fmt: skip
    header = fits_of(card(key, value) for key, value in cards.items())
    return header + os.urandom(size) + bytes(-size % 2880)
