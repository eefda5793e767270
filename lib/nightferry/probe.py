"""Is a place there? Asked in a worker, since a dead mount may never answer."""

from collections.abc import Mapping
from typing import Any

from nightferry.child import Work
from nightferry.errors import Unavailable
from nightferry.transports import open_transport


def probe(name: str, route: Mapping[str, Any] | None, work: Work) -> dict[str, int]:
    """The total and free bytes of the location ``name``; for a route, whether its far end answers.

    Raises:
        Unavailable: it is not there.
    """
    if route is not None:
        transport = open_transport(
            route["transport"],
            name,
            work.store(route["origin"]),
            work.far_end(route["destination"], route["marker"]),
            route["settings"],
        )
        transport.probe()
        return {}
    store, place = work.store(name), work.place(name)
    store.probe()
    space = store.space()
    if space is None:
        return {}
    # A source is only read; what was never ours to write stays as it is.
    if space.read_only and place.capabilities.get("writable") and place.type != "SOURCE":
        raise Unavailable(
            name,
            f"{name}: {place.path} is mounted read-only, and was not when its marker was placed. "
            "Look for errors of the disk in the kernel's log, and mount it for writing.",
        )
    return {"total": space.total, "free": space.free}
