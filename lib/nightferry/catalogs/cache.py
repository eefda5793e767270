"""The catalogues that are in PostgreSQL, with the record of which tiles are complete."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nightferry.catalogs.base import Ask, Catalog, Field, Found, MissingTile
from nightferry.catalogs.definition import Definition
from nightferry.catalogs.records import from_bytes
from nightferry.catalogs.sky import Coverage, cone, tiles_inside

Keep = Callable[[Definition, Found], None]  # puts what a remote archive gave into the cache


@dataclass(frozen=True)
class Cache:
    """One catalogue: from the cache, and through it from ``remote`` where tiles are missing."""

    definition: Definition
    ask: Ask
    remote: Catalog | None = None
    keep: Keep | None = None

    def field(self, field: Field) -> Found:
        """As :class:`nightferry.catalogs.base.Catalog`."""
        found = self._found(field)
        if self.remote is not None and not found.coverage.contains(
            tiles_inside(field.ra, field.dec, field.radius)
        ):
            found = self.remote.field(field)
            if self.keep is not None:
                self.keep(self.definition, found)
            return found
        if not found.coverage:
            key = self.definition.key
            raise MissingTile(
                f"catalog {key}",
                f"{key} has no tile at {field}: nf catalog load FILE --catalog {key}",
            )
        return found

    def _found(self, field: Field) -> Found:
        """The stars, and what of the field is complete, in one answer of the database."""
        cells = cone(field.ra, field.dec, field.radius)
        rows = self.ask(
            "catalogs.cone", name=self.definition.key, cells=str(cells), low=cells.low.tolist(),
            high=cells.high.tolist(), ra=float(np.radians(field.ra)),
            dec=float(np.radians(field.dec)),
            haversine=float(np.sin(np.radians(field.radius) / 2) ** 2),
        )  # fmt: skip
        columns, covered, records, names = rows[0] if rows else ((), "{}", None, None)
        stars = from_bytes(records or b"", tuple(columns), tuple(names or ()))
        return Found(stars, Coverage.from_text(covered))
