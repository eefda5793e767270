"""The marker: the file that proves that a directory is the location it is taken for.

A disk that is not mounted looks like an empty directory. So a person places one file with the
location's name and a random uuid in the root, once; without it the location is unavailable, never
empty.
"""

import json
import os
import shlex
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nightferry.errors import Unavailable

MARKER_FILE = ".nightferry-location"
_LONGEST = 4096


@dataclass(frozen=True)
class Marker:
    """Who a directory says it is: the location's name, and the uuid given to it once."""

    location: str
    marker: str

    @classmethod
    def new(cls, location: str) -> "Marker":
        return cls(location, str(uuid.uuid4()))

    def document(self) -> str:
        """The marker file's text: one line of JSON with the time it was written."""
        written = datetime.now(UTC).isoformat(timespec="seconds")
        return json.dumps(
            {"location": self.location, "marker": self.marker, "written": written},
            ensure_ascii=False,
        )

    def command(self) -> str:
        """What a person types, in the location's root on the host that owns it, to place this."""
        return f"printf '%s\\n' {shlex.quote(self.document())} > {MARKER_FILE}"


def read_marker(directory: int) -> Marker | None:
    """The marker in the open ``directory``; None where there is none.

    Raises:
        ValueError: there is a marker file and it cannot be understood.
        OSError: it cannot be read.
    """
    try:
        fd = os.open(
            MARKER_FILE,
            os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            dir_fd=directory,
        )
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        raw = file.read(_LONGEST)
    document = json.loads(raw)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    location, marker = document.get("location"), document.get("marker")
    if not isinstance(location, str) or not isinstance(marker, str):
        raise ValueError('"location" or "marker" is missing')
    return Marker(location, marker)


def require_marker(directory: int, path: Path, location: str, marker: str | None) -> Marker:
    """The marker of the open ``directory``, if it is this location's (and has this uuid).

    Raises:
        Unavailable: there is none, it is another's, or it cannot be read.
    """
    try:
        found = read_marker(directory)
    except (OSError, ValueError) as error:
        raise Unavailable(
            location, f"{location}: the marker {path / MARKER_FILE} cannot be read: {error}."
        ) from error
    if found is None:
        raise Unavailable(
            location,
            f"{location}: no marker {MARKER_FILE} in {path}. Mount the disk that belongs there; "
            f"if this is a new location, run: nf locations init {shlex.quote(location)}",
        )
    if found.location != location or marker not in (None, found.marker):
        raise Unavailable(
            location,
            f"{location}: {path} carries the marker of {found.location} ({found.marker}), not "
            f"of {location} ({marker or 'any'}). Mount the right disk, or correct the path in "
            "observatory.yaml.",
        )
    return found
