"""Which points of two lists are near each other: by a grid of cells, so that no tree is needed."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def pairs_within(x: Array, y: Array, u: Array, v: Array, radius: float) -> tuple[Index, Index]:
    """All pairs of points (x, y) and (u, v) not farther apart than ``radius``."""
    column, row = np.floor(u / radius).astype(np.int64), np.floor(v / radius).astype(np.int64)
    wide = np.int64(1 << 31)
    keys = column * wide + row
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    mine_column, mine_row = (
        np.floor(x / radius).astype(np.int64),
        np.floor(y / radius).astype(np.int64),
    )
    first: list[Index] = []
    second: list[Index] = []
    for across in (-1, 0, 1):
        # Three cells of a column are neighbours in the order of the keys: one look finds them.
        base = (mine_column + across) * wide + mine_row
        low = np.searchsorted(keys, base - 1, side="left")
        high = np.searchsorted(keys, base + 1, side="right")
        count = high - low
        which = np.repeat(np.arange(len(x)), count)
        step = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        other = order[np.repeat(low, count) + step]
        near = (x[which] - u[other]) ** 2 + (y[which] - v[other]) ** 2 <= radius * radius
        first.append(which[near])
        second.append(other[near])
    return np.concatenate(first), np.concatenate(second)
