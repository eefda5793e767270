"""Locations get their marker, once, by a person's word; what their storage can do is recorded."""

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from nightferry.db import Row, Tx
from nightferry.db import json as jsonb
from nightferry.durable import TRASH, init_location
from nightferry.errors import ConfigError
from nightferry.marker import Marker
from nightferry.place import OURS
from nightferry.probing import Capabilities, probe

if TYPE_CHECKING:  # boto3 takes a while: only who has a bucket waits
    from nightferry.stores.s3 import ObjectCapabilities

USER = "nightferry"  # whom the units run as


def init(tx: Tx, name: str, path: Path) -> "Capabilities | ObjectCapabilities":
    """Places the marker of the location ``name`` at ``path`` and records what was probed.

    ``path`` is the directory; for a bucket, the file with this host's keys.

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
    marker, found, best = _mark(known, path)
    if known.marker is not None and known.marker != marker.marker:
        raise ConfigError(
            f"{path} has the marker {marker.marker}, and {name} is known by {known.marker}: "
            "is another disk mounted there, or another bucket named? "
            f"If it is to be {name} from now on, say 'nf locations init {name} --replace'"
        )
    tx.run(
        "locations.set_marker",
        name=name,
        marker=marker.marker,
        capabilities=jsonb(found.as_json()),
        best=best,
    )
    return found


def set_active(tx: Tx, name: str, active: bool, reason: str) -> bool:
    """A person drains a location, or lets it take copies again; whether that changed anything."""
    if not tx.run("locations.set_active", name=name, active=active):
        return False
    if not active:
        tx.run("jobs.stop_what_goes_to", name=name)
        why = jsonb({"reason": reason})
        tx.run("event.tell", what="location drained", subject=name, detail=why)
    return True


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


def _mark(known: Row, path: Path) -> "tuple[Marker, Capabilities | ObjectCapabilities, str]":
    """The marker, what its storage can do, and the best proof that a reading there can be."""
    if known.storage == "s3":
        from nightferry.stores import s3

        bucket = s3.Bucket(known.name, s3.Settings.read(known.name, known.store), path)
        return s3.init_location(bucket), s3.probe(bucket), "remote"
    marker = init_location(path, known.name)
    found = probe(path)
    _hand_over(path)
    best = "remote" if found.network else ("medium" if found.o_direct else "cache")
    return marker, found, best
