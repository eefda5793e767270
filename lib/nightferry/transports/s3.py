"""Copies from a store that this host has mounted into a bucket.

As the local transport does it, but for what a bucket can't: parts that arrived are not read before
the object is whole. So a partial is compared with the sender's bytes, which are read again; they do
not cross again.
"""

import hashlib
from collections.abc import Callable, Iterator

from nightferry.errors import ConfigError
from nightferry.stores.base import Writing
from nightferry.stores.s3.writing import S3Writing
from nightferry.transports.base import Parcel
from nightferry.transports.local import LocalTransport


class S3Transport(LocalTransport):
    """The route ``route`` into a bucket."""

    def _begun(
        self, parcel: Parcel, partial: Writing, progress: Callable[[int], None]
    ) -> "hashlib._Hash | None":
        if not isinstance(partial, S3Writing):
            raise ConfigError(f"route {self.route}: its destination is no bucket")
        digest = hashlib.sha256()

        def from_the_start() -> Iterator[bytes]:
            checked = 0
            for chunk in self._source.read(parcel.path, 0, partial.offset):
                digest.update(chunk)
                checked += len(chunk)
                progress(checked)
                yield chunk

        return digest if partial.agrees(from_the_start()) else None
