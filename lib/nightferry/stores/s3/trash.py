"""The trash of a bucket that keeps versions: a marker over the object, which can be taken away.

A note below ``.nightferry/trash`` says which version is meant, before its marker is set: so the
next try finds it. A bucket that keeps no versions has no trash, and what can't be undone is not
done.
"""

import json
from collections.abc import Iterator
from typing import Any

from nightferry.errors import GiveUp, Occupied
from nightferry.stores.s3.client import Bucket
from nightferry.stores.s3.names import trashed
from nightferry.stores.s3.reading import Object, look
from nightferry.stores.s3.temporaries import forget


class Trash:
    """The entries of one bucket's trash. Every verb can be done twice."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @property
    def _keeps_versions(self) -> bool:
        return bool(self._bucket.call("get_bucket_versioning").get("Status") == "Enabled")

    def has(self, entry: str) -> bool:
        try:
            self.version_of(entry)
        except FileNotFoundError:
            return False
        return True

    def version_of(self, entry: str) -> str:
        """Raises FileNotFoundError: there is no such entry, or no more."""
        with self._bucket.speaking(entry):
            note: dict[str, Any] = json.loads(self._bucket.call("get_object", entry)["Body"].read())
        return str(note["version"])

    def note(self, entry: str, found: Object) -> None:
        """Raises GiveUp: the bucket keeps no versions."""
        if found.version is None or not self._keeps_versions:
            raise GiveUp(
                "no trash",
                f"{self._bucket.location}:{found.path}: {self._bucket.where} keeps no versions, so "
                "a deletion could not be undone. Nothing is deleted there; switch its versions on.",
            )
        text = json.dumps({"version": found.version}).encode()
        self._bucket.call("put_object", entry, Body=text)

    def mark(self, entry: str) -> None:
        """Sets the marker, if the entry's version is the one that the name means."""
        path = trashed(entry)
        if self._latest(path) == self.version_of(entry):
            forget(self._bucket, path)

    def put_back(self, entry: str) -> None:
        path = trashed(entry)
        try:
            version = self.version_of(entry)
        except FileNotFoundError:
            look(self._bucket, path)  # put back before, or gone
            return
        if self._latest(path) not in (None, version):
            raise Occupied(f"{self._bucket.location}:{path}: another object has the name again")
        self._take_marker_away(path)
        forget(self._bucket, entry)

    def erase(self, entry: str) -> None:
        path = trashed(entry)
        try:
            version = self.version_of(entry)
        except FileNotFoundError:
            return
        forget(self._bucket, path, version)
        if self._latest(path) is None and not any(self._versions(path, "Versions")):
            self._take_marker_away(path)
        forget(self._bucket, entry)

    def _latest(self, path: str) -> str | None:
        try:
            return look(self._bucket, path).version
        except FileNotFoundError:
            return None

    def _take_marker_away(self, path: str) -> None:
        while self._latest(path) is None:
            markers = [m for m in self._versions(path, "DeleteMarkers") if m["IsLatest"]]
            if not markers:
                return
            forget(self._bucket, path, markers[0]["VersionId"])

    def _versions(self, path: str, kind: str) -> Iterator[dict[str, Any]]:
        for page in self._bucket.pages("list_object_versions", path):
            for one in page.get(kind, []):
                if one["Key"] == self._bucket.key(path):
                    yield one
