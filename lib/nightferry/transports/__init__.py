"""The transports: one file each, all with the promises of ``base.py``.

A kind of another package joins by an entry point of the group ``nightferry.transports``, whose
object is called with the route's name, the two stores and its settings.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from nightferry.errors import ConfigError
from nightferry.stores.base import Store
from nightferry.transports.base import Elsewhere, NotTheParcel, Parcel, Sent, Transport
from nightferry.transports.bbcp import BbcpTransport
from nightferry.transports.local import LocalTransport
from nightferry.transports.rsync import RsyncTransport

__all__ = [
    "BbcpTransport",
    "Elsewhere",
    "LocalTransport",
    "NotTheParcel",
    "Parcel",
    "Sent",
    "Transport",
    "open_transport",
]

GROUP = "nightferry.transports"
Destination = Store | Elsewhere


def _s3(
    route: str, source: Store, destination: Destination, settings: Mapping[str, object]
) -> Transport:
    from nightferry.transports.s3 import S3Transport  # boto3 takes a while

    return S3Transport.from_settings(route, source, destination, settings)


_OURS: dict[str, Callable[[str, Store, Destination, Mapping[str, object]], Transport]] = {
    "bbcp": BbcpTransport.from_settings,
    "local": LocalTransport.from_settings,
    "rsync": RsyncTransport.from_settings,
    "s3": _s3,
}


def open_transport(
    kind: str, route: str, source: Store, destination: Destination, settings: Mapping[str, object]
) -> Transport:
    """The transport of this ``kind`` on ``route``. Nothing is touched before its first use.

    ``destination`` is a store where this host has it mounted; else it is reached over the network,
    by the transports that can.

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
