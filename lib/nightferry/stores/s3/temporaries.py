"""What a bucket has of a temporary file: its ticket, its parts, its tail; and taking them away."""

import json
from dataclasses import dataclass, field
from typing import Any

from nightferry.errors import NightferryError
from nightferry.stores.s3.client import Bucket, NoUpload
from nightferry.stores.s3.names import Temporary
from nightferry.stores.s3.reading import look, read


@dataclass(frozen=True)
class Part:
    """A part that the server has. ``etag`` is its MD5 on most servers, not on all."""

    number: int
    size: int
    etag: str


@dataclass
class Begun:
    """What the server has of a temporary file already."""

    upload: str | None = None
    parts: list[Part] = field(default_factory=list)
    tail: bytes = b""
    whole: int | None = None  # the object is complete: its size

    @property
    def in_parts(self) -> int:
        return sum(part.size for part in self.parts)


def begun(bucket: Bucket, it: Temporary) -> Begun:
    """What the server has of ``it``: the whole object, or parts and a tail, or nothing."""
    try:
        ticket = {} if it.beside else ticket_of(bucket, it)
    except FileNotFoundError:
        return Begun()
    try:
        found = look(bucket, it.bytes_at)
    except FileNotFoundError:
        pass
    else:
        if found.token in ("", it.token):
            return Begun(whole=found.size)
    upload = ticket.get("upload") or (_upload_beside(bucket, it) if it.beside else None)
    parts = _parts_of(bucket, it, upload) if upload else []
    there = Begun(upload if parts else None, parts)
    try:
        after = bucket.call("head_object", it.tail).get("Metadata", {})
        said = {name.lower(): value for name, value in after.items()}
        if said.get("nightferry-after") == str(there.in_parts):
            there.tail = b"".join(read(bucket, look(bucket, it.tail), 0, None))
    except FileNotFoundError:
        pass
    return there


def ticket_of(bucket: Bucket, it: Temporary) -> dict[str, Any]:
    """Raises FileNotFoundError: there is none, so the file is published, or was never begun."""
    with bucket.speaking(it.path):
        ticket: dict[str, Any] = json.loads(bucket.call("get_object", it.path)["Body"].read())
    return ticket


def discard(bucket: Bucket, it: Temporary, upload: str | None = None) -> None:
    """Removes a temporary file; one that was published keeps its name and its bytes."""
    if not it.beside:
        try:
            upload = ticket_of(bucket, it).get("upload") or upload
        except FileNotFoundError:
            if upload is None:
                return
    else:
        upload = upload or _upload_beside(bucket, it)
    if upload is not None:
        abort(bucket, it.bytes_at, upload)
    forget(bucket, it.tail)
    try:
        found = look(bucket, it.bytes_at)
    except FileNotFoundError:
        found = None
    if found is not None and found.token in ("", it.token) and (it.beside or _has(bucket, it)):
        withdraw(bucket, it.bytes_at, found.version)
    if not it.beside:
        forget(bucket, it.path)


def abort(bucket: Bucket, path: str, upload: str) -> None:
    """Its parts no longer take room. Done before = done."""
    try:
        bucket.call("abort_multipart_upload", path, UploadId=upload)
    except (NoUpload, FileNotFoundError):
        pass


def forget(bucket: Bucket, path: str, version: str | None = None) -> None:
    """Removes one object, in a bucket with versions this one version. Done before = done."""
    which = {"VersionId": version} if version else {}
    bucket.call("delete_object", path, **which)


def withdraw(bucket: Bucket, path: str, version: str | None) -> None:
    """The same, for what must give its name free. A bucket that is locked keeps the version until
    its retention ends: there a delete marker hides it."""
    try:
        forget(bucket, path, version)
    except NightferryError:
        if version is None or not bucket.is_locked():
            raise
        forget(bucket, path)


def _has(bucket: Bucket, it: Temporary) -> bool:
    try:
        ticket_of(bucket, it)
    except FileNotFoundError:
        return False
    return True


def _upload_beside(bucket: Bucket, it: Temporary) -> str | None:
    for page in bucket.pages("list_multipart_uploads", it.path):
        for one in page.get("Uploads", []):
            if one["Key"] == bucket.key(it.path):
                return str(one["UploadId"])
    return None


def _parts_of(bucket: Bucket, it: Temporary, upload: str) -> list[Part]:
    """The parts from the first on without a gap: those behind one are sent again."""
    found: list[Part] = []
    more: dict[str, Any] = {}
    try:
        while True:
            page = bucket.call("list_parts", it.bytes_at, UploadId=upload, **more)
            for one in page.get("Parts", []):
                if one["PartNumber"] != len(found) + 1:
                    return found
                found.append(Part(one["PartNumber"], one["Size"], one["ETag"]))
            if not page.get("IsTruncated"):
                return found
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}
    except (NoUpload, FileNotFoundError):
        return []
