"""Where the telescope pointed: what headers say as RA and Dec, as ICRS degrees."""

import re

from nightferry.instruments.base import Value

_SEXAGESIMAL = re.compile(
    r"([-+]?)\s*(\d{1,3})\s*[:hd°\s]\s*(\d{1,2})(?:\s*[:m'\s]\s*(\d{1,2}(?:\.\d*)?))?\s*[s\"]?"
)


def degrees(value: Value, hours: bool | None) -> float:
    """An angle in degrees from a number or from ``12:34:56.7`` (also with blanks, or h m s).

    ``hours``: the value counts hours. None: it does if it is sexagesimal.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, str):
        return float(value) * (15.0 if hours else 1.0)
    parts = _SEXAGESIMAL.fullmatch(value.strip())
    if parts is None:
        return float(value) * (15.0 if hours else 1.0)
    minutes, seconds = int(parts[3]), float(parts[4] or 0)
    if minutes > 59 or seconds > 60:
        raise ValueError(f"{value!r} has more than 60 minutes or seconds")
    angle = int(parts[2]) + minutes / 60 + seconds / 3600
    if parts[1] == "-":
        angle = -angle
    return angle if hours is False else angle * 15


def icrs(ra: float, dec: float, equinox: float, old_catalogue: bool = False) -> tuple[float, float]:
    """ICRS degrees from mean coordinates in degrees of ``equinox`` (Julian year).

    FK5, or FK4 (Besselian) if ``old_catalogue``. FK5 J2000 agrees with ICRS within 0.1 arcsec and
    is taken as it is: telescopes do not point better.

    Raises:
        ValueError: there is no such place in the sky.
    """
    if not (0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        raise ValueError(f"({ra:g}, {dec:g}) degrees is no place in the sky")
    if equinox != 2000.0 or old_catalogue:
        # Imported where needed: most headers are of J2000, and it takes 0.5 s.
        from astropy.coordinates import FK4, FK5, ICRS, SkyCoord

        frame = FK4(equinox=f"B{equinox}") if old_catalogue else FK5(equinox=f"J{equinox}")
        place = SkyCoord(ra, dec, unit="deg", frame=frame).transform_to(ICRS())
        ra, dec = float(place.ra.deg), float(place.dec.deg)
    return ra % 360.0, dec
