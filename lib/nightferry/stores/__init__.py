"""The storage systems: one file each, all with the promises of ``base.py``.

A kind of another package joins by an entry point of the group ``nightferry.stores``, whose object
is called with the location's name and its settings.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from nightferry.errors import ConfigError
from nightferry.stores.base import Abandoned, Space, Store, Stored, Writing
from nightferry.stores.posix import PosixStore

__all__ = [
    "Abandoned",
    "PosixStore",
    "Space",
    "Store",
    "Stored",
    "Writing",
    "open_location",
    "open_store",
]

GROUP = "nightferry.stores"


def _s3(location: str, settings: Mapping[str, object]) -> Store:
    from nightferry.stores.s3 import S3Store  # boto3 takes a while: only who needs it waits

    return S3Store.from_settings(location, settings)


_OURS: dict[str, Callable[[str, Mapping[str, object]], Store]] = {
    "posix": PosixStore.from_settings,
    "s3": _s3,
}


def open_store(kind: str, location: str, settings: Mapping[str, object]) -> Store:
    """The store of this ``kind`` at ``location``. Nothing is touched before its first use.

    ``settings`` are the location's own from observatory.yaml, with ``path``, where this host has
    it, and ``marker``, once it is known.

    Raises:
        ConfigError: no such kind is installed, or the settings do not fit it.
    """
    if kind in _OURS:
        return _OURS[kind](location, settings)
    plugins = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in plugins:
        known = ", ".join(sorted({*_OURS, *plugins}))
        raise ConfigError(
            f"location {location}: no storage of the kind {kind!r} is installed; known: {known}"
        )
    store: Store = plugins[kind].load()(location, settings)
    return store


def open_location(
    kind: str, location: str, row: Mapping[str, Any], path: Path, marker: str | None
) -> Store:
    """The same by the ledger's word: ``row`` are the settings in the location's row, of which some
    are its store's. It is for the caller to close."""
    settings = {**row.get("store", {}), "path": path, "marker": marker}
    if "reserve" in row:
        settings["reserve"] = row["reserve"]
    return open_store(kind, location, settings)
