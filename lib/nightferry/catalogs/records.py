"""Stars as the bytes that PostgreSQL sends and takes: records of one length, so no row is ever a
Python object on its way in or out."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nightferry.catalogs.base import Stars
from nightferry.catalogs.sky import index

_FLOAT4 = 700  # the type's number in every PostgreSQL
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_COPY_TAIL = struct.pack("!h", -1)
_ARRAY = [(part, ">i4") for part in ("dimensions", "nulls", "type", "length", "bound")]


def _numbers(count: int) -> list[Any]:
    element = np.dtype([("size", ">i4"), ("value", ">f4")])
    return [*_ARRAY, ("elements", element, (count,))]


def to_copy(stars: Stars, columns: tuple[str, ...], number: int) -> bytes:
    """The stars, sorted by cell, for COPY catalog_star (…) FROM STDIN WITH (FORMAT binary)."""
    cells = index(stars.ra, stars.dec)
    order = np.argsort(cells, kind="stable")
    n, count = len(stars), len(columns)
    names = [name.encode() for name in stars.names]
    width = max(map(len, names), default=0)
    array = np.dtype(_numbers(count))
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("n1", ">i4"), ("catalog", ">i2"),
            ("n2", ">i4"), ("hpx", ">i8"),
            ("n3", ">i4"), ("star", ">i8"),
            ("n4", ">i4"), ("ra", ">f8"),
            ("n5", ">i4"), ("dec", ">f8"),
            ("n6", ">i4"), ("numbers", array),
            ("n7", ">i4"), *([("name", f"S{width}")] if width else []),
        ]
    )  # fmt: skip
    rows = np.zeros(n, row)
    rows["fields"] = 7
    for field, size in (("n1", 2), ("n2", 8), ("n3", 8), ("n4", 8), ("n5", 8)):
        rows[field] = size
    rows["n6"], rows["n7"] = array.itemsize, width if width else -1
    rows["catalog"], rows["hpx"], rows["star"] = number, cells[order], stars.id[order]
    rows["ra"], rows["dec"] = stars.ra[order], stars.dec[order]
    _fill(rows["numbers"], stars, columns, order)
    if width:
        rows["name"] = np.array([name.ljust(width) for name in names], f"S{width}")[order]
    return _COPY_HEAD + rows.tobytes() + _COPY_TAIL


def _fill(
    rows: NDArray[Any], stars: Stars, columns: tuple[str, ...], order: NDArray[np.intp]
) -> None:
    rows["dimensions"], rows["nulls"], rows["type"], rows["bound"] = 1, 0, _FLOAT4, 1
    rows["length"] = len(columns)
    rows["elements"]["size"] = 4
    for place, name in enumerate(columns):
        rows["elements"]["value"][:, place] = stars.numbers[name][order]


def from_bytes(data: bytes, columns: tuple[str, ...], names: tuple[str, ...] = ()) -> Stars:
    """The stars of the statement catalogs.cone: id, ra, dec and numbers, one behind the other."""
    record = np.dtype(
        [("star", ">i8"), ("ra", ">f8"), ("dec", ">f8"), ("numbers", _numbers(len(columns)))]
    )
    rows = np.frombuffer(data, record)
    values = rows["numbers"]["elements"]["value"].astype(np.float64)
    numbers = {name: values[:, place] for place, name in enumerate(columns)}
    star, ra, dec = rows["star"].astype(np.int64), rows["ra"], rows["dec"]
    return Stars(star, ra.astype(np.float64), dec.astype(np.float64), numbers, names)
