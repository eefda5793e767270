"""A copy that the server makes within the bucket: for a name that is free, or for any.

It goes in parts even where one would do: the end of an upload is what may carry a condition, and
the probe has tried whether the server obeys it there. So nothing lies between the look and the
copy. Metadata is named anew: a copy in parts takes none over by itself. A server that copies no
parts is asked for the whole: it is one of those whose bucket is for one writer only.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nightferry.stores.s3.client import MIB, Bucket, NotOffered
from nightferry.stores.s3.temporaries import abort

PART = 1024 * MIB  # the protocol's own limit is five times that


def copy(bucket: Bucket, path: str, to: str, only_if_free: bool) -> None:
    """The bytes and the metadata of ``path`` under the key ``to``.

    Raises:
        Taken: an object stands there, and the name had to be free. Nothing was changed.
        FileNotFoundError: there is no ``path``.
    """
    found = bucket.call("head_object", path)
    size, metadata = found["ContentLength"], dict(found.get("Metadata", {}))
    condition = {"IfNoneMatch": "*"} if only_if_free else {}
    if not size:  # nothing to take a part of
        bucket.call("put_object", to, Body=b"", Metadata=metadata, **condition)
        return
    try:
        _in_parts(bucket, path, found, to, metadata, condition)
    except NotOffered:  # nor, then, a condition at the end of them
        bucket.call(
            "copy_object", to, CopySource=_source(bucket, path), Metadata=metadata,
            MetadataDirective="REPLACE", **condition,
        )  # fmt: skip


def _in_parts(
    bucket: Bucket,
    path: str,
    found: Mapping[str, Any],
    to: str,
    metadata: Mapping[str, str],
    condition: Mapping[str, str],
) -> None:
    upload = bucket.call("create_multipart_upload", to, Metadata=metadata)["UploadId"]
    size = found["ContentLength"]

    def part(start: int) -> dict[str, Any]:
        end = min(start + PART, size)
        which = {} if end - start == size else {"CopySourceRange": f"bytes={start}-{end - 1}"}
        number = start // PART + 1
        answer = bucket.call(
            "upload_part_copy", to, UploadId=upload, PartNumber=number,
            CopySource=_source(bucket, path), CopySourceIfMatch=found["ETag"], **which,
        )  # fmt: skip
        tag = answer.get("CopyPartResult", {}).get("ETag")
        if not tag:  # it took our request for a part without bytes
            raise NotOffered(f"{bucket.location}: {bucket.where} copies no parts")
        return {"PartNumber": number, "ETag": tag}

    try:
        with ThreadPoolExecutor(bucket.settings.streams) as streams:
            parts = list(streams.map(part, range(0, size, PART)))
        bucket.call(
            "complete_multipart_upload", to, UploadId=upload, MultipartUpload={"Parts": parts},
            **condition,
        )  # fmt: skip
    except BaseException:
        abort(bucket, to, upload)
        raise


def _source(bucket: Bucket, path: str) -> dict[str, str]:
    return {"Bucket": bucket.name, "Key": bucket.key(path)}
