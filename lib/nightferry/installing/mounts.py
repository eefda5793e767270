"""Which mount unit a directory lies on."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

_OCTAL = re.compile(r"\\([0-7]{3})")
_PLAIN = re.compile(rb"[A-Za-z0-9:_.]")


def mount_points(root: Path = Path("/")) -> set[Path]:
    """Where something is mounted now, and where /etc/fstab says that something is to be."""
    now = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    found = {_path(line.split()[4]) for line in now.splitlines()}
    try:
        planned = (root / "etc/fstab").read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        planned = ""
    for line in planned.splitlines():
        fields = line.split()
        if len(fields) > 1 and not fields[0].startswith("#") and fields[1].startswith("/"):
            found.add(_path(fields[1]))
    return found


def mount_of(directory: Path, points: Iterable[Path]) -> Path | None:
    """The mount point above, or at, ``directory``; None where that is the root's file system."""
    above = [p for p in points if directory.is_relative_to(p) and p != Path("/")]
    return max(above, key=lambda p: len(p.parts), default=None)


def escaped(path: Path) -> str:
    """A path as systemd writes it in a unit's name: ``/data/nickel`` is ``data-nickel``."""
    parts = os.fsencode(str(path).strip("/")).split(b"/")
    return "-".join(_escape(part, first=i == 0) for i, part in enumerate(parts))


def _escape(part: bytes, *, first: bool) -> str:
    text = ""
    for i in range(len(part)):
        byte = part[i : i + 1]
        plain = _PLAIN.match(byte) and not (first and i == 0 and byte == b".")
        text += byte.decode() if plain else f"\\x{byte[0]:02x}"
    return text


def _path(field: str) -> Path:
    """A path as mountinfo and fstab write it: spaces and the like are octal."""
    return Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), field))
