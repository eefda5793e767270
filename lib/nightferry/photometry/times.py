"""The middle of an exposure on the scales that light curves need."""

from datetime import datetime

import numpy as np
from astropy.coordinates import get_body_barycentric
from astropy.time import Time

_LIGHT_DAYS_A_KM = 1.0 / (299792.458 * 86400)


def mjd_utc(moment: datetime) -> float:
    return float(Time(moment, scale="utc").mjd)


def bjd_tdb(moment: datetime, ra: float, dec: float) -> float:
    """The barycentric Julian date (TDB) at which a wave front from (ra, dec), degrees, that passes
    the geocentre at ``moment`` (UTC) passes the barycentre (Eastman et al. 2010, eq. 2, its largest
    term). Of an observer on the surface it differs by 21 ms at most.
    """
    tdb = Time(moment, scale="utc").tdb
    earth = get_body_barycentric("earth", tdb, ephemeris="builtin").xyz.to_value("km")
    a, d = np.radians(ra), np.radians(dec)
    towards = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    return float(tdb.jd + float(earth @ towards) * _LIGHT_DAYS_A_KM)
