"""Locations get their marker, once, by a person's word; what the file system can do is recorded."""

import os
import pwd
from pathlib import Path

from nightferry.db import Tx
from nightferry.db import json as jsonb
from nightferry.durable import TRASH, init_location
from nightferry.errors import ConfigError
from nightferry.place import OURS
from nightferry.probing import Capabilities, probe

USER = "nightferry"  # whom the units run as


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
    _hand_over(path)
    best = "remote" if found.network else ("medium" if found.o_direct else "cache")
    tx.run(
        "locations.set_marker",
        name=name,
        marker=marker.marker,
        capabilities=jsonb(found.as_json()),
        best=best,
    )
    return found


def _hand_over(path: Path) -> None:
    """The folders that a trial made, if root did: the daemons' own user moves things into them."""
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        return
    if os.geteuid() == 0:
        for made in (path / OURS, path / TRASH):
            if made.is_dir():
                os.chown(made, user.pw_uid, user.pw_gid, follow_symlinks=False)
