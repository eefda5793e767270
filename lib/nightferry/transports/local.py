"""Copies between two stores that this host has mounted.

Read, hash and write each have a thread, so that a copy costs what its slowest part costs.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from nightferry.errors import ConfigError, Unavailable
from nightferry.stores.base import Store, Writing
from nightferry.transports.base import NotTheParcel, Parcel, Sent

# Chunks of at most 4 MiB each, from any store: 32 MB on the way.
_READ_AHEAD = 4
_HASHED_LATER = 4


class LocalTransport:
    """The route ``route`` from ``source`` to ``destination``, both mounted here."""

    def __init__(self, route: str, source: Store, destination: Store) -> None:
        self.route = route
        self._source = source
        self._destination = destination

    @classmethod
    def from_settings(
        cls, route: str, source: Store, destination: Store, settings: Mapping[str, object]
    ) -> "LocalTransport":
        """It has no settings."""
        if settings:
            raise ConfigError(
                f"route {route}: the transport 'local' has no setting {min(settings)!r}"
            )
        return cls(route, source, destination)

    def probe(self) -> None:
        for end in (self._source, self._destination):
            try:
                end.probe()
            except Unavailable as error:
                raise Unavailable(self.route, f"route {self.route}: {error}") from error

    def send(self, parcel: Parcel, progress: Callable[[int], None] | None = None) -> Sent:
        size = self._source.size(parcel.path)
        if size != parcel.size:
            raise self._not_the_parcel(parcel, f"it has {size} bytes, not {parcel.size}")
        for _ in ("what is there already", "all of it again"):
            with self._destination.write(
                parcel.destination_path, parcel.token, resume=True
            ) as partial:
                began_at = partial.offset
                if self._carry(parcel, partial, progress or _ignore) == parcel.sha256:
                    partial.finish()
                    return Sent(partial.path, parcel.size - began_at, began_at)
                partial.discard()
            if not began_at:
                break
        raise self._not_the_parcel(parcel, f"its bytes do not have the SHA-256 {parcel.sha256}")

    def _carry(
        self, parcel: Parcel, partial: Writing, progress: Callable[[int], None]
    ) -> str | None:
        """Append what is missing; the SHA-256 of the whole. None if too much is there already."""
        began_at = partial.offset
        if began_at > parcel.size:
            return None
        digest = hashlib.sha256()
        checked = 0
        for chunk in self._destination.read(partial.path, 0, began_at):
            digest.update(chunk)
            checked += len(chunk)
            progress(checked)
        with ThreadPoolExecutor(1) as hasher:
            hashed: deque[Future[None]] = deque()
            missing = self._source.read(parcel.path, began_at, parcel.size - began_at)
            for chunk in _read_ahead(missing):
                hashed.append(hasher.submit(digest.update, chunk))
                partial.write(chunk)
                progress(partial.offset)
                if len(hashed) >= _HASHED_LATER:
                    hashed.popleft().result()
            for future in hashed:
                future.result()
        return digest.hexdigest()

    def _not_the_parcel(self, parcel: Parcel, why: str) -> NotTheParcel:
        return NotTheParcel(
            f"{self._source.location}:{parcel.path}: {why}. The sender's copy is not what the "
            "ledger says, and nothing of it was kept at the destination. Verify that copy.",
        )


def _read_ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(next, chunks, b"") for _ in range(_READ_AHEAD))
        while chunk := coming.popleft().result():
            coming.append(reader.submit(next, chunks, b""))
            yield chunk


def _ignore(_: int) -> None:
    """Nobody asked for progress."""
