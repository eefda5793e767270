"""Catalogues of stars: one seam, a cache in PostgreSQL behind it, remote archives behind that."""

from nightferry.catalogs.base import Ask, Catalog, Field, Found, MissingTile, Stars
from nightferry.catalogs.cache import Cache
from nightferry.catalogs.definition import Definition, definitions

__all__ = [
    "Ask", "Cache", "Catalog", "Definition", "Field", "Found", "MissingTile", "Stars",
    "definitions",
]  # fmt: skip
