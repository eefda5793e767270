"""Names of files as the ledger writes them.

A file name on disk is bytes; in the ledger, in packages and on a screen it is text. The rule is
one-to-one: bytes that are printable UTF-8 stand for themselves; ``%``, ``\\``, line ends, control
characters and bytes that are not UTF-8 are written ``%XX``. So ``sha256sum -c`` reads every
manifest, and the original bytes always come back.
"""

from functools import lru_cache
from urllib.parse import unquote_to_bytes

MAX_PATH = 4096


def _plain(char: str) -> bool:
    return char.isprintable() and char not in "%\\"


@lru_cache(maxsize=4096)
def to_text(raw: bytes) -> str:
    """The ledger's text for the name or path ``raw`` ('/' is kept)."""
    text = raw.decode("utf-8", "surrogateescape")
    if text.isprintable() and "%" not in text and "\\" not in text:
        return text
    return "".join(
        c if _plain(c) else "".join(f"%{b:02X}" for b in c.encode("utf-8", "surrogateescape"))
        for c in text
    )


def to_bytes(text: str) -> bytes:
    """The bytes on disk for the ledger's ``text``. Inverse of :func:`to_text`."""
    return unquote_to_bytes(text)


def check_relative(path: str) -> str:
    """``path`` if it is a clean relative path (no empty, ``.`` or ``..`` part, no NUL).

    Raises:
        ValueError: it is not, with the reason.
    """
    raw = to_bytes(path)
    if not raw or raw.startswith(b"/") or len(raw) > MAX_PATH or b"\0" in raw:
        raise ValueError(f"not a relative path: {path!r}")
    if any(part in (b"", b".", b"..") for part in raw.split(b"/")):
        raise ValueError(f"path with an empty, '.' or '..' part: {path!r}")
    return path
