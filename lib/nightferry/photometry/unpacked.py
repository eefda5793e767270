"""What a file holds, whether or not gzip or bzip2 has packed it."""

import bz2
import zlib
from collections.abc import Callable
from typing import Any

from nightferry.photometry.measured import NotCalibrated

_PACKED: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda: zlib.decompressobj(wbits=31)),
    b"BZh": ("bzip2", bz2.BZ2Decompressor),
}
LONGEST = 1 << 30  # bytes of an unpacked file


def unpacked(content: bytes) -> bytes:
    """The bytes themselves, of a file that may be packed.

    Raises:
        NotCalibrated: it is packed badly, cut short, or longer than LONGEST.
    """
    for magic, (name, stream) in _PACKED.items():
        if content.startswith(magic):
            return _all(content, name, stream())
    return content


def _all(content: bytes, name: str, stream: Any) -> bytes:
    try:
        out: bytes = stream.decompress(content, LONGEST)
    except (zlib.error, OSError) as error:
        raise NotCalibrated("unreadable", f"its {name} is broken: {error}") from error
    if not stream.eof and len(out) >= LONGEST:
        raise NotCalibrated("too large", f"it is more than {LONGEST >> 20} MB when unpacked")
    if not stream.eof:
        raise NotCalibrated("unreadable", f"its {name} ends too early: the file was cut")
    return out
