"""Which stars are which, from their patterns alone: four stars make a shape that is the same
wherever it lies, however large and however turned.

A quad is a bright star with three near by. The two of them that are farthest apart, A and B, are
the corners (0, 0) and (1, 1) of a square; where the other two lie in it is the code (the idea is
that of Lang et al. 2010, AJ 139, 1782). Equal codes give a transformation; that which puts the most
stars upon each other is taken, if chance would not do as well.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nightferry.photometry.neighbours import pairs_within

Array = NDArray[np.float64]
Index = NDArray[np.int64]

STARS = 50  # of each list, the brightest
_NEIGHBOURS = 6  # of each, of which three are taken
_ALIKE = 0.012  # of two codes
_TRIED = 400  # transformations, the most alike first
_FEWEST = 6  # stars that agree


@dataclass(frozen=True)
class Similarity:
    """(u, v) = scale * rotation [* mirror] (x, y) + shift, with a complex number for each."""

    turn: complex
    shift: complex
    mirrored: bool
    agree: int

    def apply(self, x: Array, y: Array) -> tuple[Array, Array]:
        z = x + 1j * y
        w = self.turn * (np.conj(z) if self.mirrored else z) + self.shift
        return np.asarray(w.real), np.asarray(w.imag)

    @property
    def scale(self) -> float:
        return abs(self.turn)


def solve(
    x: Array, y: Array, u: Array, v: Array, tolerance: float,
    scales: tuple[float, float] = (0.0, np.inf),
) -> Similarity | None:  # fmt: skip
    """What takes stars (x, y) to a catalogue's (u, v), both brightest first; None if nothing does.

    ``tolerance`` is in units of (u, v), ``scales`` the range of units of (u, v) a unit of (x, y).
    """
    z, w = (x + 1j * y)[:STARS], u + 1j * v
    if len(z) < _FEWEST or len(w) < _FEWEST:
        return None
    best: Similarity | None = None
    # Brightness differs by the band: which of the catalogue's are the same ones is tried.
    for many in dict.fromkeys(min(len(w), n) for n in (STARS, 2 * STARS, 4 * STARS)):
        for mirrored in (False, True):
            found = _try(np.conj(z) if mirrored else z, w[:many], w, tolerance, scales)
            if found and (best is None or found[2] > best.agree):
                best = Similarity(found[0], found[1], mirrored, found[2])
        if best is not None:
            return best
    return None


def _quads(z: NDArray[np.complex128]) -> tuple[Index, Array]:
    """Quads (n, 4) as indices, A and B first, and their codes (n, 4)."""
    away = np.abs(z[:, None] - z[None, :])
    order = np.argsort(away, axis=1)[:, 1 : _NEIGHBOURS + 1]
    triples = np.array(list(combinations(range(order.shape[1]), 3)))
    four = np.concatenate(
        [np.repeat(np.arange(len(z)), len(triples))[:, None], order[:, triples].reshape(-1, 3)], 1
    )
    four = np.unique(np.sort(four, axis=1), axis=0)
    sides = np.array(list(combinations(range(4), 2)))
    lengths = np.abs(z[four[:, sides[:, 0]]] - z[four[:, sides[:, 1]]])
    longest = sides[np.argmax(lengths, axis=1)]
    rows = np.arange(len(four))
    rest = np.array([[k for k in range(4) if k not in pair] for pair in longest])
    a, b = four[rows, longest[:, 0]], four[rows, longest[:, 1]]
    c, d = four[rows, rest[:, 0]], four[rows, rest[:, 1]]
    span = z[b] - z[a]
    # (0, 0) to (1, 1): the square's diagonal.
    zc, zd = ((z[k] - z[a]) / span * (1 + 1j) for k in (c, d))
    swap_ends = zc.real + zd.real > 1
    a, b = np.where(swap_ends, b, a), np.where(swap_ends, a, b)
    zc, zd = (np.where(swap_ends, 1 + 1j - k, k) for k in (zc, zd))
    swap = zc.real > zd.real
    c, d = np.where(swap, d, c), np.where(swap, c, d)
    zc, zd = np.where(swap, zd, zc), np.where(swap, zc, zd)
    codes = np.column_stack([zc.real, zc.imag, zd.real, zd.imag])
    return np.column_stack([a, b, c, d]), codes


def _try(
    z: NDArray[np.complex128], w: NDArray[np.complex128], all_w: NDArray[np.complex128],
    tolerance: float, scales: tuple[float, float],
) -> tuple[complex, complex, int] | None:  # fmt: skip
    mine, codes = _quads(z)
    theirs, known = _quads(w)
    i, j = _alike(codes, known)
    if not len(i):
        return None
    a, b = z[mine[i, 0]], z[mine[i, 1]]
    turn = (w[theirs[j, 1]] - w[theirs[j, 0]]) / (b - a)
    inside = (np.abs(turn) > scales[0]) & (np.abs(turn) < scales[1])
    i, j, turn = i[inside], j[inside], turn[inside]
    if not len(i):
        return None
    unlike = ((codes[i] - known[j]) ** 2).sum(axis=1)
    best: tuple[complex, complex, int] | None = None
    for k in np.argsort(unlike)[:_TRIED]:
        shift = w[theirs[j[k], 0]] - turn[k] * z[mine[i[k], 0]]
        found = _agreeing(z, all_w, complex(turn[k]), complex(shift), tolerance)
        if found and (best is None or found[2] > best[2]):
            best = found
            if best[2] > 0.6 * min(len(z), len(all_w)):
                break
    return best


def _alike(codes: Array, known: Array) -> tuple[Index, Index]:
    """All pairs of codes that agree."""
    i, j = pairs_within(codes[:, 0], codes[:, 1], known[:, 0], known[:, 1], _ALIKE)
    near = ((codes[i, 2:] - known[j, 2:]) ** 2).sum(axis=1) < _ALIKE**2
    return i[near], j[near]


def _agreeing(
    z: NDArray[np.complex128], w: NDArray[np.complex128], turn: complex, shift: complex,
    tolerance: float,
) -> tuple[complex, complex, int] | None:  # fmt: skip
    """The transformation fitted to all that agree by it, if these are more than chance gives."""
    for _ in range(2):
        moved = turn * z + shift
        i, j = pairs_within(moved.real, moved.imag, w.real, w.imag, tolerance)
        if len(np.unique(i)) < 4 or len(np.unique(j)) < 4:
            return None
        design = np.column_stack([z[i], np.ones(len(i))])
        turn, shift = np.linalg.lstsq(design, w[j], rcond=None)[0]
    moved = turn * z + shift
    i, _ = pairs_within(moved.real, moved.imag, w.real, w.imag, tolerance)
    agree = len(np.unique(i))
    # Stars of the catalogue by chance within the tolerance of one of ours.
    corner = np.array([moved.real.min(), moved.real.max(), moved.imag.min(), moved.imag.max()])
    inside = (
        (w.real > corner[0]) & (w.real < corner[1]) & (w.imag > corner[2]) & (w.imag < corner[3])
    )
    area = max((corner[1] - corner[0]) * (corner[3] - corner[2]), 1e-12)
    chance = len(z) * min(1.0, inside.sum() * np.pi * tolerance**2 / area)
    if agree < max(_FEWEST, chance + 4 * np.sqrt(chance + 1)):
        return None
    return complex(turn), complex(shift), agree
