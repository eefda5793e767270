"""Crossing a link and filling a bucket: next to rsync and openssl, and to boto3's own transfers.

Ours: packages cross by the transport, and are read back at the far end by the store, two at a time;
many small files are packed first. The peer: ``rsync -a``, then ``openssl dgst -sha256`` over what
arrived, in two processes.
"""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from nightferry.durable import init_location
from nightferry.grouping import MOST_FILES
from nightferry.packaging.manifest import Document, Member
from nightferry.packaging.pack import pack
from nightferry.stores import PosixStore, Store
from nightferry.stores.s3 import S3Store
from nightferry.stores.s3 import init_location as init_bucket
from nightferry.temporary import temporary_path
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
SMALL = 20_000  # bytes; their packages hold as many as the planner puts into one


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
                    lambda k=kind: _peer(k, here / "packages", there, far),  # type: ignore[misc]
                )  # fmt: skip
            yield _cut(ground, origin, store, marker, far, there, parcels[0])
            yield _bucket(ground, origin, parcels)
    yield from _many(ground)


def _many(ground: Ground) -> Iterator[Result]:
    """Small files, packed and sent, next to as many that rsync sends one by one."""
    count = 5_000 if ground.quick else 50_000
    with ground.place("here") as here, ground.place("there") as there, sshd() as far:
        for folder in (here, there):
            folder.chmod(0o755)
        documents = _documents(here / "files", count)
        init_location(here, "here")
        marker = init_location(there, "there").marker
        told = f"{count} files of {SMALL} bytes, packed, sent and read back"
        with PosixStore("here", here) as origin, PosixStore("there", there) as store:
            for kind in ("local", "rsync"):
                line = Line(
                    f"{kind}.many",
                    told,
                    "rsync -a, then openssl in two processes",
                    "s",
                    "at most",
                    0.8,
                )
                transport = open_transport(
                    kind, "link", origin, store if kind == "local" else Elsewhere("there", marker),
                    {"streams": 2} if kind == "local" else far.settings(there, streams=2),
                )  # fmt: skip
                ground.tell(f"crossing: many by {kind}")
                yield in_turns(
                    line, ground.runs, ground.tell,
                    lambda t=transport: _packed_and_sent(t, origin, store, documents),  # type: ignore[misc]
                    lambda k=kind: _peer(k, here / "files", there, far),  # type: ignore[misc]
                )  # fmt: skip


def _documents(folder: Path, count: int) -> list[Document]:
    """The files, and the packages that they are planned to be."""
    folder.mkdir()
    members = []
    for number in range(count):
        data = os.urandom(SMALL)
        (folder / f"{number}").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        members.append(Member(str(uuid.uuid4()), f"files/{number}", SMALL, digest, 0))
    return [
        Document(
            str(uuid.uuid4()), f"bench-{at}", "here", date(2026, 3, 14), "bench", datetime.now(UTC),
            tuple(members[at : at + MOST_FILES]),
        )
        for at in range(0, count, MOST_FILES)
    ]  # fmt: skip


def _packed_and_sent(
    transport: Transport, origin: PosixStore, store: Store, documents: list[Document]
) -> float:
    """Each package crosses while the next is packed."""
    made: list[str] = []
    os.sync()
    began = time.monotonic()
    with ThreadPoolExecutor(transport.streams) as streams:
        crossing = []
        for document in documents:
            token = str(uuid.uuid4())
            with origin.write(document.path, token) as out:
                packed = pack(
                    document, lambda m: os.open(origin.path / m.path, os.O_RDONLY), out.write, int
                )
                out.finish()
            made.append(out.path)
            parcel = Parcel(token, out.path, document.path, packed.size, packed.sha256)
            crossing.append(streams.submit(_cross, transport, store, parcel))
        done = [one.result() for one in crossing]
    seconds = time.monotonic() - began
    for kept, temporaries in ((origin, made), (store, done)):
        for temporary in temporaries:
            kept.discard(temporary)
    return seconds


def _cross(transport: Transport, store: Store, parcel: Parcel) -> str:
    sent = transport.send(parcel)
    assert store.read_back(sent.temporary).sha256 == parcel.sha256
    return sent.temporary


def _cut(
    ground: Ground, origin: PosixStore, store: Store, marker: str, far: Sshd, there: Path,
    parcel: Parcel,
) -> Result:  # fmt: skip
    """What crosses again after a cut at 90 % of a package."""
    line = Line(
        "rsync.cut", "bytes of a package that cross after a cut at 90 % of it", "all of its bytes",
        "bytes", "at most", 0.15,
    )  # fmt: skip
    slow = {"rate": f"{max(1, parcel.size // 4_000_000)} MB"}  # else it is across before it is told
    transport = open_transport(
        "rsync", "link", origin, Elsewhere("there", marker),
        far.settings(there, bandwidth=slow),
    )  # fmt: skip

    def crossed_again() -> float:
        fresh = replace(parcel, token=str(uuid.uuid4()))

        partial = there / temporary_path(parcel.destination_path, fresh.token)

        def cut(_: int) -> None:
            """What has arrived counts: what rsync says comes a second late."""
            if partial.is_file() and partial.stat().st_size >= 0.9 * parcel.size:
                raise InterruptedError

        with suppress(InterruptedError):
            transport.send(fresh, cut)
        assert partial.stat().st_size < parcel.size, "it was across before it was cut"
        sent = transport.send(fresh)
        store.discard(sent.temporary)
        return sent.bytes_sent

    ground.tell("crossing: cut at 90 %")
    return in_turns(line, ground.runs, ground.tell, crossed_again, lambda: float(parcel.size))


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
    fresh = [replace(parcel, token=str(uuid.uuid4())) for parcel in parcels]
    os.sync()
    began = time.monotonic()
    with ThreadPoolExecutor(transport.streams) as streams:
        done = list(streams.map(lambda parcel: _cross(transport, store, parcel), fresh))
    seconds = time.monotonic() - began
    for temporary in done:
        store.discard(temporary)
    return seconds


def _peer(kind: str, here: Path, there: Path, far: Sshd) -> float:
    out = there / "peer"
    os.sync()
    if kind == "local":
        seconds = shell(RSYNC, here, out)
    else:
        account = str(far.settings(there)["account"])
        seconds = shell(FAR_RSYNC, here, out, str(far.port), far.key, far.known_hosts, account)
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
