"""Is a place there? Asked in a worker, since a dead mount may never answer."""

from collections.abc import Mapping
from typing import Any

from nightferry.child import Work
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
    store = work.store(name)
    store.probe()
    space = store.space()
    return {} if space is None else {"total": space.total, "free": space.free}
