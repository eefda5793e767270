"""Copies between two stores that this host has mounted.

Settings of the route: ``streams``, packages under way at once, and ``bandwidth``, a table of hours.
Read, hash and write each have a thread, so that a copy costs what its slowest part costs.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from nightferry.errors import Unavailable
from nightferry.stores.base import Store, Writing
from nightferry.transports.bandwidth import Meter
from nightferry.transports.base import (
    Elsewhere,
    NotTheParcel,
    Parcel,
    Sent,
    Settings,
    check_size,
    ignore,
    read_settings,
)

# Chunks of at most 4 MiB each, from any store: 32 MB on the way.
_READ_AHEAD = 4
_HASHED_LATER = 4


class LocalTransport:
    """The route ``route`` from ``source`` to ``destination``, both mounted here."""

    def __init__(
        self, route: str, source: Store, destination: Store, settings: "Settings | None" = None
    ) -> None:
        self.route = route
        self.settings = settings or Settings()
        self._source = source
        self._destination = destination

    @classmethod
    def from_settings(
        cls,
        route: str,
        source: Store,
        destination: Store | Elsewhere,
        settings: Mapping[str, object],
    ) -> Self:
        """Raises ConfigError; Unavailable: the destination is not mounted here."""
        how = read_settings(route, settings, Settings)
        if isinstance(destination, Elsewhere):
            raise Unavailable(
                route,
                f"route {route}: {destination.location} is not mounted on this host: name it under "
                "locations: in nightferry.yaml, or go there by rsync",
            )
        return cls(route, source, destination, how)

    @property
    def streams(self) -> int:
        return self.settings.streams

    def probe(self) -> None:
        for end in (self._source, self._destination):
            try:
                end.probe()
            except Unavailable as error:
                raise Unavailable(self.route, f"route {self.route}: {error}") from error

    def send(self, parcel: Parcel, progress: Callable[[int], None] | None = None) -> Sent:
        check_size(self._source, parcel)
        for _ in ("what is there already", "all of it again"):
            with self._destination.write(
                parcel.destination_path, parcel.token, resume=True, sha256=parcel.sha256
            ) as partial:
                began_at = partial.offset
                if self._carry(parcel, partial, progress or ignore) == parcel.sha256:
                    partial.finish()
                    return Sent(partial.path, parcel.size - began_at, began_at)
                partial.discard()
            if not began_at:
                break
        why = f"its bytes do not have the SHA-256 {parcel.sha256}"
        raise NotTheParcel.at(self._source, parcel, why)

    def _carry(
        self, parcel: Parcel, partial: Writing, progress: Callable[[int], None]
    ) -> str | None:
        """Append what is missing; the SHA-256 of the whole. None if what is there is too much, or
        known not to be the beginning."""
        began_at = partial.offset
        if began_at > parcel.size:
            return None
        digest = self._begun(parcel, partial, progress)
        if digest is None:
            return None
        meter = Meter(self.settings.bandwidth, self.settings.streams)
        with ThreadPoolExecutor(1) as hasher:
            hashed: deque[Future[None]] = deque()
            missing = self._source.read(parcel.path, began_at, parcel.size - began_at)
            for chunk in _read_ahead(missing):
                hashed.append(hasher.submit(digest.update, chunk))
                partial.write(chunk)
                progress(partial.offset)
                meter.sent(len(chunk), lambda: progress(partial.offset))
                if len(hashed) >= _HASHED_LATER:
                    hashed.popleft().result()
            for future in hashed:
                future.result()
        return digest.hexdigest()

    def _begun(
        self, parcel: Parcel, partial: Writing, progress: Callable[[int], None]
    ) -> "hashlib._Hash | None":
        """The hash of what is there already, as the destination gives it back."""
        digest = hashlib.sha256()
        checked = 0
        for chunk in self._destination.read(partial.path, 0, partial.offset):
            digest.update(chunk)
            checked += len(chunk)
            progress(checked)
        return digest


def _read_ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(next, chunks, b"") for _ in range(_READ_AHEAD))
        while chunk := coming.popleft().result():
            coming.append(reader.submit(next, chunks, b""))
            yield chunk
