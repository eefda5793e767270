"""Is a place there, or the far end of a route? A dead mount may never answer: asked in a process of
its own, a short one (looking.py) or a worker."""

from collections.abc import Mapping
from typing import Any

from nightferry.child import Place, Work
from nightferry.errors import Unavailable
from nightferry.stores.base import Store
from nightferry.transports import open_transport


def probe(name: str, route: Mapping[str, Any] | None, work: Work) -> dict[str, int]:
    """The total and free bytes of the location ``name``; for a route, whether its far end answers.

    Raises:
        Unavailable: it is not there.
    """
    if route is None:
        return space_of(work.store(name), work.place(name))
    transport = open_transport(
        route["transport"],
        name,
        work.store(route["origin"]),
        work.far_end(route["destination"], route["marker"]),
        route["settings"],
    )
    transport.probe()
    return {}


def space_of(store: Store, place: Place) -> dict[str, int]:
    """The total and free bytes of a place that is there.

    Raises:
        Unavailable: it is not.
    """
    store.probe()
    space = store.space()
    if space is None:
        return {}
    # A source is only read; what was never ours to write stays as it is.
    if space.read_only and place.capabilities.get("writable") and place.type != "SOURCE":
        raise Unavailable(
            place.name,
            f"{place.name}: {place.path} is mounted read-only, and was not when its marker was "
            "placed. Look for errors of the disk in the kernel's log, and mount it for writing.",
        )
    return {"total": space.total, "free": space.free}
