"""One bucket, and how it is talked to: settings, keys, and what a server's errors mean to us.

Where the bucket is stands in observatory.yaml; the keys that open it are in a file of each host,
which its nightferry.yaml names where it names a directory for a disk.
"""

import configparser
import enum
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError

from nightferry import yamlfile
from nightferry.errors import (
    ConfigError,
    GiveUp,
    NightferryError,
    NoRoom,
    Retry,
    Unavailable,
    Unreadable,
)
from nightferry.yamlfile import Size

MIB = 1024 * 1024
LEAST_PART = 5 * MIB  # the protocol's own, of every part but the last
MOST_STREAMS = 32

GONE = {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}
TAKEN = {"PreconditionFailed", "412", "ConditionalRequestConflict"}
NO_UPLOAD = {"NoSuchUpload"}
_NO_BUCKET = {"NoSuchBucket"}
_NO_RIGHT = {"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"}
_NO_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge", "507"}
_LOCKED = {"ObjectLocked", "WORMModeEnabled", "InvalidRetentionPeriod"}
_FAR = {"InvalidObjectState"}  # in a cold tier: must be asked for first


class Checksums(enum.Enum):
    """Whether the client adds checksums of its own and asks for them: some servers choke on it."""

    REQUIRED = "required"
    SUPPORTED = "supported"


@dataclass(frozen=True)
class Settings:
    """``store:`` of an S3 location in observatory.yaml."""

    bucket: str
    endpoint: str | None = None  # absent: Amazon's own
    prefix: str = ""  # of every key; several locations may share a bucket
    region: str = "us-east-1"
    checksums: Checksums = Checksums.REQUIRED
    part_size: Size = field(default=Size(16 * MIB))
    streams: int = 4  # parts or ranges under way at once

    def __post_init__(self) -> None:
        if self.part_size < LEAST_PART:
            raise ValueError("part_size must be 5 MiB or more")
        if not 1 <= self.streams <= MOST_STREAMS:
            raise ValueError(f"streams must be from 1 to {MOST_STREAMS}")
        if self.prefix and (self.prefix.startswith("/") or not self.prefix.endswith("/")):
            raise ValueError("prefix must end with '/' and not begin with it")

    @classmethod
    def read(cls, location: str, values: Mapping[str, object]) -> "Settings":
        """Raises ConfigError: an unknown key or a wrong value."""
        return yamlfile.parse(json.dumps(dict(values)), cls, f"location {location}: store")


class Bucket:
    """The bucket of ``location``. Nothing is asked of the server before the first use.

    ``key_file`` holds this host's keys, as the ``credentials`` file of Amazon's own tools does.
    """

    def __init__(self, location: str, settings: Settings, key_file: Path | None = None) -> None:
        self.location = location
        self.settings = settings
        self._key_file = key_file

    @cached_property
    def client(self) -> Any:
        """A client, safe to use from several threads.

        Raises:
            Unavailable: this host has no keys for the bucket.
        """
        keys = self._keys()
        config = Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 4},
            max_pool_connections=2 * self.settings.streams,
            request_checksum_calculation=f"when_{self.settings.checksums.value}",
            response_checksum_validation=f"when_{self.settings.checksums.value}",
            s3={"addressing_style": "path" if self.settings.endpoint else "auto"},
        )
        session: Session = boto3.session.Session(region_name=self.settings.region, **keys)
        return session.client("s3", endpoint_url=self.settings.endpoint, config=config)

    def _keys(self) -> dict[str, str]:
        """Our own file's keys; without a file, whatever the host's own surroundings give."""
        if self._key_file is None:
            return {}
        parser = configparser.ConfigParser()
        try:
            with self._key_file.open(encoding="utf-8") as file:
                parser.read_file(file)
            section = parser["default"]
            keys = {name: section[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
        except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as error:
            raise Unavailable(
                self.location,
                f"{self.location}: no keys for the bucket in {self._key_file} ({error}). It is a "
                "file with a section [default], aws_access_key_id and aws_secret_access_key.",
            ) from error
        if token := section.get("aws_session_token"):
            keys["aws_session_token"] = token
        return keys

    @property
    def name(self) -> str:
        return self.settings.bucket

    @property
    def where(self) -> str:
        """For messages."""
        at = self.settings.endpoint or "Amazon S3"
        return f"the bucket {self.name} at {at}"

    def key(self, path: str) -> str:
        return self.settings.prefix + path

    def path(self, key: str) -> str:
        return key.removeprefix(self.settings.prefix)

    def call(self, verb: str, path: str = "", /, **values: Any) -> Any:
        """One request about ``path``, in the client's own words; errors in ours."""
        if path:
            values["Key"] = self.key(path)
        with self.speaking(path):
            return getattr(self.client, verb)(Bucket=self.name, **values)

    def is_locked(self) -> bool:
        """Whether it keeps what is written for a while, whoever asks (object lock)."""
        try:
            found = self.call("get_object_lock_configuration")
        except (NightferryError, FileNotFoundError):
            return False
        return bool(found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    def pages(self, verb: str, prefix: str) -> Iterator[Any]:
        """All pages of a listing of what begins with ``prefix``."""
        pages = self.client.get_paginator(verb).paginate(Bucket=self.name, Prefix=self.key(prefix))
        try:
            with self.speaking(prefix):
                yield from pages
        except NoUpload:
            return  # how some servers say that there are none

    @contextmanager
    def speaking(self, path: str = "") -> Iterator[None]:
        """Turns what a request may raise into our errors; a missing object is FileNotFoundError.

        Taken and NoUpload are for those who know what to do about them.
        """
        try:
            yield
        except ClientError as error:
            raise self._said(path, error) from error
        except FlexibleChecksumError as error:
            raise Unreadable(f"{self.location}:{path}: {error}") from error
        except BotoCoreError as error:
            raise Unavailable(
                self.location,
                f"{self.location}: {self.where} does not answer: {_first_line(error)}",
            ) from error

    def _said(self, path: str, error: ClientError) -> Exception:
        answer = error.response.get("Error", {})
        code, said = str(answer.get("Code", "")), f"{self.location}:{path}: {_first_line(error)}"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in GONE:
            return FileNotFoundError(2, "no such object", f"{self.location}:{path}")
        if code in TAKEN:
            return Taken(said)
        if code in NO_UPLOAD:
            return NoUpload(said)
        if code in _FULL:
            return NoRoom(f"{said}. {self.where} takes no more: make room, or raise its quota.")
        if code in _LOCKED or (code in _NO_RIGHT and _speaks_of_a_lock(said)):
            return GiveUp("the bucket is locked", f"{said}. Its retention must end first.")
        if code in _FAR:
            return Unreadable(f"{said}. It lies in a cold tier: have it restored there first.")
        if code in _NO_BUCKET:
            return self._away(said, f"There is no bucket {self.name}: create it, or correct it.")
        if code in _NO_RIGHT:
            return self._away(said, "Give this host's keys the right to read, write and list it.")
        if code in _NO_KEYS:
            return self._away(said, f"Look at the keys in {self._key_file or 'the environment'}.")
        if code in _CLOCK:
            return self._away(said, "This host's clock and the server's differ: correct it.")
        if status == 501 or code == "NotImplemented":
            return NotOffered(f"{said}. {self.where} does not offer this.")
        if status >= 500 or code in ("SlowDown", "RequestTimeout"):
            return self._away(said, "Look at the server.")
        return Retry(f"{said}. Look at the server's log.")

    def _away(self, said: str, advice: str) -> Unavailable:
        return Unavailable(self.location, f"{said}. {advice}")


class Taken(NightferryError):
    """The condition of a request did not hold: an object stands there already."""


class NotOffered(NightferryError):
    """The server does not know this request."""


class NoUpload(NightferryError):
    """The server knows no such upload: it was completed, or aborted."""


def credentials_file(location: str, settings: Mapping[str, object]) -> Path | None:
    """The ``path`` of a location on this host. Raises ConfigError: it is no absolute path."""
    path = settings.get("path")
    if path is None:
        return None
    if not isinstance(path, str | Path) or not Path(path).is_absolute():
        raise ConfigError(f"location {location}: 'path' must be an absolute path, not {path!r}")
    return Path(path)


def _speaks_of_a_lock(said: str) -> bool:
    """A refusal for a lock has the code of a missing right; only its words tell."""
    return any(word in said.lower() for word in ("object lock", "worm", "retention"))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
