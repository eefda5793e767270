"""Real servers that speak S3, started by the tests on loopback: a careful one and a careless one.

SeaweedFS keeps what it promises. ``rclone serve s3`` writes over what is there, takes bytes that are
not those of the sum that came with them, and gives back what lies on its disk, whatever became of it.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from nightferry.errors import Unavailable
from nightferry.stores.s3 import Bucket, Settings
from nightferry.testing.sites import wait_until

KEY, SECRET = "nightferrytest", "nightferrysecret"
READER = "nightferryreader"  # may look, and do nothing else; it has the same secret


class Server:
    """A server at ``endpoint``; ``folder`` is where a careless one keeps its buckets, as files."""

    def __init__(self, endpoint: str, folder: Path, key_file: Path) -> None:
        self.endpoint, self.folder, self.key_file = endpoint, folder, key_file
        self._made: set[str] = set()

    def settings(self, bucket: str, **more: object) -> dict[str, object]:
        """What observatory.yaml says of a location in it."""
        return {"endpoint": self.endpoint, "bucket": bucket, "part_size": "5 MiB", **more}

    def bucket(self, location: str, name: str, **more: object) -> Bucket:
        """A bucket that is there."""
        settings = Settings.read(location, self.settings(name, **more))
        return Bucket(location, settings, self.key_file)

    def new_bucket(
        self, location: str = "archive", versions: bool = False, **more: object
    ) -> Bucket:
        """An empty part of a bucket: a bucket of its own takes SeaweedFS a second and much room."""
        name = "versioned" if versions else "plain"
        if name not in self._made:
            bucket = self.bucket(location, name)
            bucket.call("create_bucket")
            if versions:
                status = {"Status": "Enabled"}
                bucket.call("put_bucket_versioning", VersioningConfiguration=status)
            self._made.add(name)
        return self.bucket(location, name, prefix=f"{uuid.uuid4().hex[:12]}/", **more)


def program(name: str) -> str:
    """Where a program of the test environment is; skips where it is not installed."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, low enough: SeaweedFS adds 10,000 for a second one of each."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            one = held.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            if one.getsockname()[1] < 50_000:
                found.append(one.getsockname()[1])
        return found


@contextmanager
def seaweed() -> Iterator[Server]:
    """The careful one."""
    weed = program("weed")
    s3, master, volume, filer = free_ports(4)
    with _folder() as folder:
        identities = [
            {
                "name": key,
                "credentials": [{"accessKey": key, "secretKey": SECRET}],
                "actions": actions,
            }
            for key, actions in (
                (KEY, ["Admin", "Read", "Write", "List", "Tagging"]),
                (READER, ["Read", "List"]),
            )
        ]
        (folder / "ids.json").write_text(json.dumps({"identities": identities}))
        (folder / "data").mkdir()
        command = [
            weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}/data", "-s3",
            f"-s3.port={s3}", f"-s3.config={folder}/ids.json", "-volume.max=100",
            "-master.volumeSizeLimitMB=64", f"-master.port={master}", f"-volume.port={volume}",
            f"-filer.port={filer}", "-master.telemetry=false",
            "-s3.port.iceberg=0", "-s3.port.lance=0",  # not needed; theirs can't be had twice
        ]  # fmt: skip
        with _running(command, folder, s3) as server:
            yield server


@contextmanager
def rclone() -> Iterator[Server]:
    """The careless one."""
    (port,) = free_ports(1)
    with _folder() as folder:
        (folder / "data").mkdir()
        command = [
            program("rclone"), "serve", "s3", "--config", str(folder / "none"), "--addr",
            f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", str(folder / "data"),
        ]  # fmt: skip
        with _running(command, folder, port) as server:
            yield server


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nightferry-s3-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[Server]:
    keys = write_keys(folder / "keys", KEY)
    server = Server(f"http://127.0.0.1:{port}", folder / "data", keys)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *command],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
            env=os.environ | {"HOME": str(folder)},
        )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or _answers(server), 90, "the object server")
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield server
    finally:
        process.kill()
        process.wait()


def write_keys(path: Path, key: str) -> Path:
    """A file as a host has it for a bucket."""
    path.write_text(f"[default]\naws_access_key_id={key}\naws_secret_access_key={SECRET}\n")
    return path


def _answers(server: Server) -> bool:
    """It takes a bucket; SeaweedFS listens some seconds before it can."""
    try:
        server.new_bucket()
    except (Unavailable, OSError):
        return False
    return True
