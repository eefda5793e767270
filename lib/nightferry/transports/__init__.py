"""The transports: one file each, all with the promises of ``base.py``.

A kind of another package joins by an entry point of the group ``nightferry.transports``, whose
object is called with the route's name, the two stores and its settings.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from nightferry.errors import ConfigError
from nightferry.stores.base import Store
from nightferry.transports.base import NotTheParcel, Parcel, Sent, Transport
from nightferry.transports.local import LocalTransport

__all__ = ["LocalTransport", "NotTheParcel", "Parcel", "Sent", "Transport", "open_transport"]

GROUP = "nightferry.transports"
_OURS: dict[str, Callable[[str, Store, Store, Mapping[str, object]], Transport]] = {
    "local": LocalTransport.from_settings,
}


def open_transport(
    kind: str, route: str, source: Store, destination: Store, settings: Mapping[str, object]
) -> Transport:
    """The transport of this ``kind`` on ``route``. Nothing is touched before its first use.

    Raises:
        ConfigError: no such kind is installed, or the settings do not fit it.
    """
    if kind in _OURS:
        return _OURS[kind](route, source, destination, settings)
    plugins = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in plugins:
        known = ", ".join(sorted({*_OURS, *plugins}))
        raise ConfigError(
            f"route {route}: no transport of the kind {kind!r} is installed; known: {known}"
        )
    transport: Transport = plugins[kind].load()(route, source, destination, settings)
    return transport
