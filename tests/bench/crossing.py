"""Crossing a link and filling a bucket: next to rsync and openssl, and to boto3's own transfers.

Ours: packages cross by the transport, and are read back at the far end by the store, two at a time.
The peer: ``rsync -a``, then ``openssl dgst -sha256`` over what arrived, in two processes.
"""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nightferry.durable import init_location
from nightferry.stores import PosixStore, Store
from nightferry.stores.s3 import S3Store
from nightferry.stores.s3 import init_location as init_bucket
from nightferry.transports import Elsewhere, Parcel, Transport, open_transport

from tests.bench.ground import Ground, shell
from tests.bench.lines import Line, Result, in_turns
from tests.object_server import seaweed
from tests.sshd import Sshd, sshd

RSYNC = 'rsync -a "$1/" "$2/"; find "$2" -type f -print0 | xargs -0 -P 2 -n 8 openssl dgst -sha256 > /dev/null'
FAR_RSYNC = (
    'rsync -a -e "ssh -F /dev/null -p $3 -i $4 -o UserKnownHostsFile=$5" "$1/" "$6:$2/"; '
    'find "$2" -type f -print0 | xargs -0 -P 2 -n 8 openssl dgst -sha256 > /dev/null'
)
FILES = 40


def measure(ground: Ground) -> Iterator[Result]:
    size = 4_000_000 if ground.quick else 100_000_000
    with ground.place("here") as here, ground.place("there") as there, sshd() as far:
        for folder in (here, there):
            folder.chmod(0o755)
        parcels = _parcels(here, size)
        init_location(here, "here")
        marker = init_location(there, "there").marker
        told = f"{FILES} packages of {size} bytes over the transport, then read back"
        with PosixStore("here", here) as origin, PosixStore("there", there) as store:
            for kind in ("local", "rsync"):
                line = Line(
                    kind, told, "rsync -a, then openssl in two processes", "s", "at most", 1.15
                )
                transport = (
                    open_transport("local", "link", origin, store, {"streams": 2})
                    if kind == "local"
                    else open_transport(
                        "rsync", "link", origin, Elsewhere("there", marker), far.settings(there, streams=2)
                    )
                )  # fmt: skip
                ground.tell(f"crossing: by {kind}")
                yield in_turns(
                    line, ground.runs, ground.tell,
                    lambda t=transport: _ours(t, store, parcels),  # type: ignore[misc]
                    lambda k=kind: _peer(k, here, there, far),  # type: ignore[misc]
                )  # fmt: skip
            yield _bucket(ground, origin, parcels)


def _parcels(here: Path, size: int) -> list[Parcel]:
    made = []
    (here / "packages").mkdir()
    for number in range(FILES):
        data = os.urandom(size)
        path = f"packages/{number}.tar"
        (here / path).write_bytes(data)
        made.append(Parcel("", path, path, size, hashlib.sha256(data).hexdigest()))
    return made


def _ours(transport: Transport, store: Store, parcels: list[Parcel]) -> float:
    def cross(parcel: Parcel) -> str:
        fresh = Parcel(
            str(uuid.uuid4()), parcel.path, parcel.destination_path, parcel.size, parcel.sha256
        )
        sent = transport.send(fresh)
        assert store.read_back(sent.temporary).sha256 == parcel.sha256
        return sent.temporary

    os.sync()
    began = time.monotonic()
    with ThreadPoolExecutor(transport.streams) as streams:
        done = list(streams.map(cross, parcels))
    seconds = time.monotonic() - began
    for temporary in done:
        store.discard(temporary)
    return seconds


def _peer(kind: str, here: Path, there: Path, far: Sshd) -> float:
    out = there / "peer"
    os.sync()
    if kind == "local":
        seconds = shell(RSYNC, here / "packages", out)
    else:
        account = str(far.settings(there)["account"])
        seconds = shell(
            FAR_RSYNC, here / "packages", out, str(far.port), far.key, far.known_hosts, account
        )
    shutil.rmtree(out)
    return seconds


def _bucket(ground: Ground, origin: PosixStore, parcels: list[Parcel]) -> Result:
    """Upload and read back, in bytes a second, next to boto3's upload_file and download_file."""
    ground.tell("crossing: into a bucket")
    some = parcels[:4]
    whole = sum(parcel.size for parcel in some)
    line = Line(
        "s3", f"{len(some)} packages of {some[0].size} bytes into a bucket, and read back by ranges",
        "boto3's upload_file, then download_file", "bytes/s", "at least", 0.8,
    )  # fmt: skip
    with seaweed() as server, ground.place("down") as down:
        bucket = server.new_bucket(part_size="16 MiB")
        store = S3Store("archive", bucket, init_bucket(bucket).marker)
        transport = open_transport("s3", "link", origin, store, {})

        def boto() -> float:
            began = time.monotonic()
            for number, parcel in enumerate(some):
                key = bucket.key(f"peer/{uuid.uuid4()}")
                bucket.client.upload_file(str(origin.path / parcel.path), bucket.name, key)
                bucket.client.download_file(bucket.name, key, str(down / str(number)))
                bucket.client.delete_object(Bucket=bucket.name, Key=key)
            return whole / (time.monotonic() - began)

        return in_turns(
            line, ground.runs, ground.tell, lambda: whole / _ours(transport, store, some), boto
        )
