"""Names: of a package, of its place in an archive, and of a file inside it."""

import re
from datetime import date
from hashlib import sha256

_MAX_PART = 255


def stored_path(path: str) -> str:
    """The path below ``data/`` for the ledger's ``path``.

    ``=`` stands for the ledger's ``%``: in a BagIt manifest a ``%`` in a name must be escaped, for
    ``sha256sum -c`` it must not be, so no name in a package has one. A ``=`` that would be read as
    such an escape is itself escaped. A part that has grown over 255 bytes is cut, and ends in
    ``~`` and 16 digits of the SHA-256 of the whole part: no common file system takes a longer one.
    """
    if len(path) < 64 and "%" not in path and "=" not in path:
        return path  # most are; and 63 characters are 252 bytes at most
    escaped = re.sub(r"=(?=[0-9A-F]{2})", "=3D", path).replace("%", "=")
    return "/".join(map(_shortened, escaped.split("/")))


def _shortened(part: str) -> str:
    raw = part.encode()
    if len(raw) <= _MAX_PART:
        return part
    head = raw[: _MAX_PART - 17].decode(errors="ignore")
    return f"{head}~{sha256(raw).hexdigest()[:16]}"


def package_name(instrument: str, night: date, id: str) -> str:
    """A package's name: instrument, night, and the random end of its UUIDv7."""
    return f"{_word(instrument)}-{night.isoformat()}-{id.replace('-', '')[-12:].lower()}"


def archive_path(instrument: str, night: date, name: str) -> str:
    """Where the package ``name`` stands in an archive: ``<instrument>/<night>/<name>.tar``."""
    return f"{_word(instrument)}/{night.isoformat()}/{name}.tar"


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".-")[:60] or "unknown"
