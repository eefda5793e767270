"""The storage systems: one file each, all with the promises of ``base.py``.

A kind of another package joins by an entry point of the group ``nightferry.stores``, whose object
is called with the location's name and its settings.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from nightferry.errors import ConfigError
from nightferry.stores.base import Abandoned, Space, Store, Stored, Writing
from nightferry.stores.posix import PosixStore

__all__ = ["Abandoned", "PosixStore", "Space", "Store", "Stored", "Writing", "open_store"]

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
