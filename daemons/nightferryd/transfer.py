"""nightferry-transfer -- carry packages over the links between sites.

Claims    'transfer' jobs, one per bundle and destination, at the sender
Writes    a physical_copy in state arriving for each package that is across; on its tick, forms
          bundles by route, priority, size and age; enqueues 'verify'
Settings  transfer: in etc/nightferry.yaml
Killed    at any moment: safe. Partials carry the package's uuid and are gone on with; what is
          across is in the ledger one by one, and only verify, at the other end, publishes it.
"""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from threading import Event
from typing import Any

from nightferry.child import Work
from nightferry.daemon import JobDaemon, command
from nightferry.db import Tx
from nightferry.errors import (
    GiveUp,
    NoAnswer,
    Stopping,
    Unavailable,
    Unreadable,
)
from nightferry.jobs import Job, Wanted
from nightferry.right_of_way import RightOfWay
from nightferry.transports import NotTheParcel, Parcel, Sent, Transport, open_transport

TELL_EVERY = 0.2  # seconds between two words of how far the crossing is
LONGEST_WAIT = timedelta(minutes=5)  # of a package for others to cross with
AHEAD = 2  # bundles of a route and priority that are formed at once: one crosses, the next waits


@dataclass(frozen=True)
class Settings:
    """None: links are routes of observatory.yaml."""


@dataclass(frozen=True)
class Across:
    """A package under its temporary name at the other end; or, with ``trouble``, why it is not."""

    package: str
    temporary: str
    trouble: str = ""


def transfer(job: Job, settings: Settings, work: Work) -> None:
    """Each package of the bundle, as many at once as the route has streams. Threads only carry:
    what becomes of a package is told from here."""
    facts: dict[str, Any] = job.facts
    transport = open_transport(
        facts["transport"],
        facts["route"],
        work.store(facts["origin"]),
        work.far_end(facts["destination"], facts["marker"]),
        facts["settings"],
    )
    _ask(transport)
    crossing = Crossing(job, work, sum(parcel["size"] for parcel in facts["parcels"]))
    waiting = [
        Parcel(p["package"], p["path"], p["path"], p["size"], p["sha256"]) for p in facts["parcels"]
    ]
    with ThreadPoolExecutor(transport.streams) as streams:
        try:
            running = {streams.submit(crossing.carry, transport, one): one for one in waiting}
            while running:
                ended, _ = wait(running, timeout=TELL_EVERY, return_when=FIRST_COMPLETED)
                crossing.tell()
                for future in ended:
                    crossing.conclude(running.pop(future), future)
        except BaseException:
            crossing.stopped.set()
            streams.shutdown(wait=False, cancel_futures=True)
            raise
    if crossing.refused is not None:
        raise crossing.refused


def _ask(transport: Transport) -> None:
    """A bundle may be all that waits: where its route does not answer, others go another way."""
    try:
        transport.probe()
    except Unavailable as error:
        raise NoAnswer(error.what, str(error)) from error


class Crossing:
    """The packages of a bundle on their way, and how far each is. What is more urgent overtakes:
    the bundle is given back, and gone on with from where it was."""

    def __init__(self, job: Job, work: Work, whole: int) -> None:
        self.job, self.work, self.whole = job, work, whole
        self._way = RightOfWay(job, work, job.priority, "a more urgent bundle")
        self.stopped = Event()
        self.refused: GiveUp | None = None
        self._reached: dict[str, int] = {}

    def carry(self, transport: Transport, parcel: Parcel) -> Sent:
        """In a thread of its own."""

        def progress(done: int) -> None:
            if self.stopped.is_set():
                raise Stopping("another package of the bundle ended the crossing")
            self._reached[parcel.token] = done

        return transport.send(parcel, progress)

    def tell(self) -> None:
        self.work.progress(sum(list(self._reached.values())), self.whole)
        self._way.look()

    def conclude(self, parcel: Parcel, future: Future[Sent]) -> None:
        try:
            sent = future.result()
        except (NotTheParcel, Unreadable, FileNotFoundError) as error:
            # This sender's copy is in doubt; the others of the bundle go on.
            self.work.emit(Across(parcel.token, "", str(error)))
        except GiveUp as error:
            self.refused = error  # by the far end; the others of the bundle go on
        else:
            self.work.emit(Across(parcel.token, sent.temporary))


def arrived(tx: Tx, job: Job, across: Across) -> Iterator[tuple[str, Wanted]]:
    origin, destination = str(job.facts["origin"]), str(job.facts["destination"])
    if across.trouble:
        for row in tx.run("transfer.doubt_sender", package=across.package, location=origin):
            yield "verify", Wanted(f"{row.id}@{origin}", origin, origin, 20)
        return
    for row in tx.run(
        "transfer.arriving",
        package=across.package,
        location=destination,
        temporary=across.temporary,
    ):
        yield "verify", Wanted(f"{row.id}@{destination}", destination, destination, 20)


def record(tx: Tx, job: Job, _: None) -> Iterator[tuple[str, Wanted]]:
    return iter(())


def tick(tx: Tx, settings: Settings) -> Iterator[tuple[str, Wanted]]:
    """Bundles are closed when nothing of them has to cross, and formed of what is in none.

    One that crosses and one that waits keep a link busy: what comes meanwhile is gathered until
    the first is across, or it fills a bundle, or has waited long.
    """
    tx.run("transfer.close")
    limit = tx.run("transfer.bundle_size")[0].bundle_size
    waiting = tx.run("transfer.to_bundle", age=LONGEST_WAIT)
    for (route, priority), lane in groupby(waiting, key=lambda r: (r.route, r.priority)):
        for bundle in _due(list(lane), limit):
            formed = tx.run(
                "transfer.form", route=route, priority=priority, size=sum(r.size for r in bundle)
            )[0]
            tx.run("transfer.add_members", bundle=formed.id, packages=[r.package for r in bundle])
    for row in tx.run("transfer.wanted"):
        yield "transfer", Wanted(row.subject, row.place, row.needs, row.priority)


def _due(waiting: list[Any], limit: int) -> Iterator[list[Any]]:
    """The bundles to form now: full ones, and what is left where it is not to wait for more."""
    *full, last = _filled(waiting, limit)
    yield from full
    if last[0].formed + len(full) < AHEAD or any(row.waited for row in last):
        yield last


def _filled(waiting: list[Any], limit: int) -> Iterator[list[Any]]:
    bundle: list[Any] = []
    for row in waiting:
        if bundle and sum(r.size for r in bundle) + row.size > limit:
            yield bundle
            bundle = []
        bundle.append(row)
    if bundle:
        yield bundle


daemon = JobDaemon(
    "transfer", Settings, transfer, record, batch=arrived, tick=tick, doing="carrying"
)
main = command(daemon)
