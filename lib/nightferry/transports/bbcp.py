"""Copies to another host by bbcp: several connections for one package, over a long or lossy way.

As the rsync transport does it, with the same settings: what is there is hashed over ssh, and what
is missing is appended. But the bytes themselves go over ``connections`` of bbcp's own, which are
not encrypted: their sums prove them, nobody hides them. bbcp has to be installed at both ends, and
the far host must be reached at the ports that it listens on.
"""

import os
import re
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nightferry.errors import GiveUp, Retry, Unavailable
from nightferry.transports.base import Parcel
from nightferry.transports.rsync import FarSettings, RsyncTransport
from nightferry.transports.ssh import Ended, far_name, local_name, run

_ASK_EVERY = 2.0  # seconds: bbcp itself says how far it is four times a minute
_STOPPED = (-15, 143)  # by us: the bandwidth changes
_MISSING = re.compile(r"bbcp: (command )?not found|not found: bbcp|exec: bbcp")
_SIZE = """stat -c %s -- "$1" """

# bbcp takes programs for its ends, and cuts what they are given at each space; so names that may
# have any letters come in the environment.
_SOURCE = '/bin/sh -c tail${IFS}-c+$NIGHTFERRY_FROM<"$NIGHTFERRY_FILE"'
_SINK = '/bin/sh -c cat>>"$NIGHTFERRY_FILE"'
_FAR = '/bin/sh -c eval${IFS}"$NIGHTFERRY_FAR"'


@dataclass(frozen=True, kw_only=True)
class Settings(FarSettings):
    """``settings:`` of a route in observatory.yaml. ``streams`` are packages, each with so many
    ``connections``."""

    connections: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.connections <= 64:
            raise ValueError("connections must be from 1 to 64")


class BbcpTransport(RsyncTransport):
    """The route ``route`` to a directory of another host, by bbcp."""

    settings_kind = Settings
    settings: Settings

    def probe(self) -> None:
        if shutil.which("bbcp") is None:
            raise Unavailable(
                self.route, f"route {self.route}: bbcp is not installed on this host: install it"
            )
        super().probe()

    def _carry(
        self, parcel: Parcel, temporary: str, there: int, tell: Callable[[int], None]
    ) -> None:
        """All that is missing; again at each change of the bandwidth."""
        done = there
        asked = time.monotonic()

        def waiting() -> None:
            nonlocal done, asked
            if time.monotonic() - asked > _ASK_EVERY:
                done, asked = self._size(temporary), time.monotonic()
            tell(min(done, parcel.size))

        while done < parcel.size:
            began = done
            change = self.settings.bandwidth.until_change()
            until = None if change is None else time.monotonic() + change.total_seconds() + 1
            try:
                ended = run(
                    self._bbcp(), waiting, until=until,
                    environment=self._environment(parcel, temporary, done),
                )  # fmt: skip
            except BaseException:
                self._at_rest(temporary)
                raise
            if ended.code != 0 and (
                ended.code not in _STOPPED or until is None or time.monotonic() < until
            ):
                raise self._trouble(parcel, ended)
            done = self._at_rest(temporary)
            if done > parcel.size or (ended.code == 0 and done == began):
                raise Retry(
                    f"route {self.route}: bbcp ended well and left {done} of {parcel.size} bytes "
                    f"of {parcel.destination_path}. It is looked at again."
                )

    def _bbcp(self) -> list[str]:
        rate = self.settings.bandwidth.now() // self.settings.streams
        host = self._far.account.rpartition("@")[2]
        return [
            "bbcp", "-o", "-N", "io", "-s", str(self.settings.connections),
            *(["-x", f"{max(1, rate // 1000)}k"] if rate else []),
            "-S", "bbcp", "-T", _FAR, _SOURCE, f"{host}:{_SINK}",
        ]  # fmt: skip

    def _environment(self, parcel: Parcel, temporary: str, done: int) -> dict[str, str]:
        far = (
            f"cd -P -- {shlex.quote(self._far.path)} && "
            f"NIGHTFERRY_FILE={shlex.quote(far_name(temporary))} && export NIGHTFERRY_FILE && "
            "exec bbcp SNK"
        )
        return os.environ | {
            "NIGHTFERRY_FILE": str(self._source.path / Path(local_name(parcel.path))),
            "NIGHTFERRY_FROM": str(done + 1),
            "NIGHTFERRY_FAR": shlex.join([*self._far.shell, self._far.account, far]),
        }

    def _size(self, temporary: str) -> int:
        return int(self._far.ask_of(temporary, _SIZE))

    def _at_rest(self, temporary: str) -> int:
        """Its size once nobody appends to it any more: the far end ends after ours."""
        last, end = -1, time.monotonic() + 10.0
        while (size := self._size(temporary)) != last and time.monotonic() < end:
            last = size
            time.sleep(0.2)
        return size

    def _trouble(self, parcel: Parcel, ended: Ended) -> Exception:
        if ended.code == 127 or _MISSING.search(ended.trouble):
            return GiveUp(
                "no bbcp at the far end",
                f"route {self.route}: {' '.join(ended.trouble.split())[-400:]} Install bbcp there.",
            )
        return super()._trouble(parcel, ended)
