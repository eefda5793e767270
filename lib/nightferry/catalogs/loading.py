"""Stars into the cache: a whole load or nothing, with the tiles that are complete by it.

A star is in the cache if and only if its tile is complete: what a load has outside of the tiles
that it completes is left out, and what the cache had inside of them is replaced. A load that was
killed leaves nothing.
"""

from dataclasses import dataclass

from nightferry.catalogs.base import Found
from nightferry.catalogs.definition import Definition
from nightferry.catalogs.records import to_copy
from nightferry.catalogs.sky import index
from nightferry.db import Tx
from nightferry.errors import ConfigError
from nightferry.sql import statement

_COPY = "catalogs.copy"


@dataclass(frozen=True)
class Loaded:
    stars: int
    left_out: int  # outside of the complete tiles
    square_degrees: float


def store(tx: Tx, definition: Definition, found: Found, source: str) -> Loaded:
    """Puts ``found`` into the cache; ``source`` says where it is from.

    Raises:
        ConfigError: its definition has changed since stars were loaded.
    """
    row = tx.one("catalogs.register", name=definition.key, columns=list(definition.columns))
    if row is None:
        raise ConfigError(
            f"{definition.key} is cached with other numbers than its definition has now: load it "
            "under another name, or put the definition back"
        )
    inside = found.coverage.holds(index(found.stars.ra, found.stars.dec))
    stars = found.stars if inside.all() else found.stars.pick(inside)
    low, high = found.coverage.low.tolist(), found.coverage.high.tolist()
    if definition.sparse:  # several lists of standards share a field
        tx.run("catalogs.empty_names", number=row.number, names=list(stars.names))
    elif row.stars:
        tx.run("catalogs.empty_tiles", number=row.number, low=low, high=high)
    with tx.driver.cursor() as cursor, cursor.copy(statement(_COPY)) as out:
        out.write(to_copy(stars, definition.columns, row.number))
    tx.run(
        "catalogs.loaded", name=definition.key, source=source, stars=len(stars),
        covered=str(found.coverage),
    )  # fmt: skip
    return Loaded(len(stars), len(found.stars) - len(stars), found.coverage.square_degrees)
