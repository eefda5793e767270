"""What a bucket's server does with what it is asked, tried on objects of our own: and its marker.

Servers that speak the language differ in what they keep of it. What matters is not what they answer
but what they do: so each promise is tried, and broken ones are recorded and said.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass

from nightferry.errors import NightferryError, Occupied, Unavailable
from nightferry.marker import MARKER_FILE, Marker
from nightferry.place import OURS
from nightferry.stores.s3.client import LEAST_PART, Bucket, Taken
from nightferry.stores.s3.reading import look, read
from nightferry.stores.s3.temporaries import abort, forget, withdraw

_TEXT = b"what a probe writes"


@dataclass(frozen=True)
class ObjectCapabilities:
    """What was tried and works in a bucket."""

    server: str  # its endpoint
    if_none_match: bool  # it refuses to write over an object,
    if_none_match_parts: bool  # also at the end of an upload in parts
    rejects_wrong_sha256: bool  # bytes that differ from the sum that came with them
    keeps_metadata: bool  # our token and SHA-256 come back
    lists_parts: bool  # an upload can be gone on with
    etag_is_md5: bool  # of a part
    if_match: bool  # a reading notices that the object was replaced
    versions: bool  # a deletion can be undone
    locked: bool  # it refuses deletions for a while

    @property
    def one_writer_only(self) -> bool:
        """Nothing here refuses to overwrite: two hosts that publish at once could lose a file."""
        return not (self.if_none_match and self.if_none_match_parts)

    def as_json(self) -> dict[str, str | bool]:
        """All of it by name, for a jsonb column."""
        return {
            **asdict(self),
            "file_system": "s3",
            "network": True,
            "one_writer_only": self.one_writer_only,
        }


def init_location(bucket: Bucket) -> Marker:
    """Place the marker of the bucket's location, once; one of this name is returned as it is.

    Raises:
        Occupied: the marker of another location is there, or one that can't be understood.
    """
    try:
        with bucket.speaking(MARKER_FILE):
            there = json.loads(bucket.call("get_object", MARKER_FILE)["Body"].read())
        marker = Marker(str(there["location"]), str(there["marker"]))
    except FileNotFoundError:
        marker = Marker.new(bucket.location)
        text = f"{marker.document()}\n".encode()
        bucket.call("put_object", MARKER_FILE, Body=text, IfNoneMatch="*")
        return marker
    except (ValueError, KeyError, TypeError) as error:
        raise Occupied(
            f"{bucket.where}: its {MARKER_FILE} can't be understood ({error}). Move it away, if "
            f"you are sure that this bucket is {bucket.location}, and try again."
        ) from error
    if marker.location != bucket.location:
        raise Occupied(
            f"{bucket.where} is the location {marker.location}, not {bucket.location}. Nothing was "
            "changed. Choose another bucket or prefix."
        )
    return marker


def probe(bucket: Bucket) -> ObjectCapabilities:
    """Try what the bucket's server does; nothing of it stays behind, but in a locked bucket what
    its retention keeps, hidden.

    Raises:
        Unavailable: it does not answer, or refuses this host's keys.
    """
    one, parts = (f"{OURS}/probe-{uuid.uuid4()}" for _ in range(2))
    try:
        bucket.call("put_object", one, Body=_TEXT, Metadata={"nightferry-token": "probe"})
        found = look(bucket, one)
        if b"".join(read(bucket, found, 0, None)) != _TEXT:
            raise Unavailable(
                bucket.location, f"{bucket.where} gives other bytes back than it was given"
            )
        lists, md5, parts_refused = _in_parts(bucket, parts)
        return ObjectCapabilities(
            server=bucket.settings.endpoint or "amazon",
            if_none_match=not _goes(
                lambda: bucket.call("put_object", one, Body=_TEXT, IfNoneMatch="*")
            ),
            if_none_match_parts=parts_refused,
            rejects_wrong_sha256=not _goes(lambda: _lie(bucket, one)),
            keeps_metadata=found.token == "probe",
            lists_parts=lists,
            etag_is_md5=md5,
            if_match=not _goes(lambda: bucket.call("get_object", one, IfMatch='"another"')),
            versions=found.version is not None
            and bucket.call("get_bucket_versioning").get("Status") == "Enabled",
            locked=bucket.is_locked(),
        )
    finally:
        for path in (one, parts):
            _clear(bucket, path)


def _in_parts(bucket: Bucket, path: str) -> tuple[bool, bool, bool]:
    """Whether parts are listed, are tagged with their MD5, and end where an object stands."""
    data = b"part" * (LEAST_PART // 4)
    bucket.call("put_object", path, Body=_TEXT)
    upload = bucket.call("create_multipart_upload", path)["UploadId"]
    try:
        tag = bucket.call("upload_part", path, UploadId=upload, PartNumber=1, Body=data)["ETag"]
        listed = bucket.call("list_parts", path, UploadId=upload).get("Parts", [])
        done = _goes(
            lambda: bucket.call(
                "complete_multipart_upload", path, UploadId=upload, IfNoneMatch="*",
                MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]},
            )
        )  # fmt: skip
    finally:
        abort(bucket, path, upload)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return [p["Size"] for p in listed] == [len(data)], tag.strip('"') == md5, not done


def _lie(bucket: Bucket, path: str) -> None:
    wrong = base64.b64encode(hashlib.sha256(b"other bytes").digest()).decode()
    bucket.call("put_object", path, Body=_TEXT, ChecksumSHA256=wrong)


def _goes(ask: Callable[[], object]) -> bool:
    """Whether the server does it; that it is away is no answer."""
    try:
        ask()
    except Unavailable:
        raise
    except (Taken, NightferryError, FileNotFoundError):
        return False
    return True


def _clear(bucket: Bucket, path: str) -> None:
    """All that a probe wrote, and in a bucket with versions every version of it."""
    try:
        versions = [
            one
            for page in bucket.pages("list_object_versions", path)
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
    except (NightferryError, FileNotFoundError):
        versions = []
    for one in versions:
        if one.get("VersionId") not in (None, "null"):
            withdraw(bucket, path, one["VersionId"])
    if not versions or any(one.get("VersionId") in (None, "null") for one in versions):
        forget(bucket, path)
