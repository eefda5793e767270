"""The zero point of a matched list, next to stdpipe's robust fit: seconds, and errors.

stdpipe fits only what it matches itself: what its own match takes is measured apart, and taken off.
"""

import time
import warnings
from collections.abc import Iterator

import numpy as np
from nightferry.photometry.matching import match
from nightferry.photometry.zeropoint import zero_point

from tests.bench.ground import Ground
from tests.bench.lines import Line, Result, result
from tests.unit.photometry_sky import catalogue, evans_r, observe

STARS = 300
LISTS = 400  # of 50 the two errors differ by chance more than the two fits do


def measure(ground: Ground) -> Iterator[Result]:
    try:
        from stdpipe import astrometry as matching
        from stdpipe import photometry as peer
    except ImportError:
        ground.tell("zeropoint: left out, stdpipe is not installed (pip install stdpipe)")
        return
    # Where a third of the stars is blended, both take longer, and one is right.
    for name, fault in (("", ""), (" of blends", "blends")):
        rng = np.random.default_rng(1)
        pairs, ours_off, peer_off = [], [], []
        for _ in range(max(LISTS, 10 * ground.runs)):
            sky = catalogue(rng, STARS)
            seen, truth = observe(rng, sky, fault=fault)
            stars, known = sky.stars, evans_r(sky.stars)
            colour = stars.numbers["BP"] - stars.numbers["RP"]
            found = match(seen.ra, seen.dec, stars.ra, stars.dec)
            assert found is not None
            i, j = found.measured, found.catalog
            began = time.perf_counter()
            fit = zero_point(
                known[j] - seen.magnitude[i], np.hypot(seen.error[i], 0.002), colour[j],
                colour_reference=1.0,
            )  # fmt: skip
            mine = time.perf_counter() - began
            began = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = peer.match(
                    seen.ra, seen.dec, seen.magnitude, seen.error, np.zeros(STARS, int), stars.ra,
                    stars.dec, known, np.full(STARS, 0.002), colour - 1, sr=2 / 3600,
                    max_intrinsic_rms=0.02,
                )  # fmt: skip
            whole = time.perf_counter() - began
            began = time.perf_counter()
            matching.spherical_match(seen.ra, seen.dec, stars.ra, stars.dec, 2 / 3600)
            pairs.append((mine, whole - (time.perf_counter() - began)))
            ours_off.append(fit.value - truth.zero_point)
            zero = theirs["zero_fn"](np.zeros(1), np.zeros(1), np.array([-5.0]))[0]
            peer_off.append(zero - truth.zero_point)
        line = Line(
            f"zero point{name}", f"mixture of {STARS} stars", "stdpipe's robust fit", "s",
            "at most", 0.1,
        )  # fmt: skip
        yield result(line, pairs)
        ours, theirs = (float(np.sqrt(np.mean(np.square(x)))) for x in (ours_off, peer_off))
        line = Line(
            f"zero point{name}, error", f"root mean square of {len(pairs)} errors",
            "stdpipe's, of the same lists", "mag", "at most", 1.0,
        )  # fmt: skip
        yield Result(line, ours, theirs, ours / theirs, len(pairs))
