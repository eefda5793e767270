"""Locations get their marker, once, by a person's word; what the file system can do is recorded."""

from pathlib import Path

from nightferry.db import Tx
from nightferry.db import json as jsonb
from nightferry.durable import init_location
from nightferry.errors import ConfigError
from nightferry.probing import Capabilities, probe


def init(tx: Tx, name: str, path: Path) -> Capabilities:
    """Places the marker of the location ``name`` at ``path`` and records what was probed.

    Raises:
        ConfigError: the database does not know this location, or knows another marker for it.
        Occupied: the marker of another location is there.
        Unavailable: ``path`` can't be written from here; the text has the command for its owner.
    """
    known = tx.one("locations.marker", name=name)
    if known is None:
        raise ConfigError(
            f"{name} is no location of the database: write it into observatory.yaml, then "
            "'nf config apply'"
        )
    marker = init_location(path, name)
    if known.marker is not None and known.marker != marker.marker:
        raise ConfigError(
            f"{path} has the marker {marker.marker}, and {name} is known by {known.marker}: "
            "is another disk mounted there? "
            f"If it is to be {name} from now on, say 'nf locations init {name} --replace'"
        )
    found = probe(path)
    best = "remote" if found.network else ("medium" if found.o_direct else "cache")
    tx.run(
        "locations.set_marker",
        name=name,
        marker=marker.marker,
        capabilities=jsonb(found.as_json()),
        best=best,
    )
    return found
