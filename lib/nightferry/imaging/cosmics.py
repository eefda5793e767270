"""Cosmic rays by their edges (van Dokkum 2001, PASP 113, 1420; astroscrappy).

They are masked, never painted over: a star that one has hit is marked, and does not serve.
"""

import astroscrappy
import numpy as np

from nightferry.imaging.frame import BAD, COSMIC, SATURATED, Frame

_SHARP = 5.0  # sigma of the Laplacian
_BESIDE = 0.3  # of that, for pixels beside
_CONTRAST = 5.0  # to what a star's core has of structure
_ROUNDS = 2
_NOISE_UNKNOWN = 5.0  # e-, where neither header nor file says it


def mask(frame: Frame) -> int:
    """Marks the pixels of cosmic rays in the frame's mask; how many there are."""
    gain = frame.detector.gain or 1.0
    saturated = (frame.mask & SATURATED) > 0
    top = frame.detector.saturation
    found, _ = astroscrappy.detect_cosmics(
        np.ascontiguousarray(frame.pixels),
        inmask=(frame.mask & BAD > 0) | saturated,
        sigclip=_SHARP,
        sigfrac=_BESIDE,
        objlim=_CONTRAST,
        gain=gain,
        readnoise=frame.detector.read_noise or _NOISE_UNKNOWN,
        satlevel=float(top if np.isfinite(top) else 1e9),
        niter=_ROUNDS,
        sepmed=True,
        cleantype="medmask",
        fsmode="median",
    )
    frame.mask[found] |= COSMIC
    return int(found.sum())
