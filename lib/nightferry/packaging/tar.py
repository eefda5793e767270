"""One tar header, written always the same way, and explained when it is somebody else's.

The format is POSIX ustar. Where ustar ends, two old extensions that GNU tar, busybox, libarchive
and Python all read are used: an ``L`` entry for a long name, base-256 for a size of 8 GiB or more.
(busybox skips pax headers, so these are not used.) The header is packed here and not by
``tarfile``, which has changed bytes of its headers between versions.
"""

import struct

from nightferry.names import to_text

BLOCK = 512
END = bytes(2 * BLOCK)
MAX_NAME = 4095

_FIELDS = struct.Struct("100s8s8s8s12s12s8ss100s6s2s32s32s8s8s155s12x")
_MAX_OCTAL = 0o77777777777
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a directory",
    b"6": "a FIFO",
    b"L": "a file with a long name",
    b"S": "a sparse file",
    b"g": "a pax header",
    b"x": "a pax header",
}


def padded(size: int) -> int:
    """``size`` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def header_size(name: bytes) -> int:
    """Bytes of the header of a member of this name."""
    return BLOCK if _split(name) else 2 * BLOCK + padded(len(name) + 1)


def header(name: bytes, size: int, mtime: int) -> bytes:
    """The header of a regular file: mode 0644, owner 0, no owner's name.

    ``mtime`` (seconds) is brought into what the field can hold, 1970 to 2242; ``nightferry.json``
    has the true one.
    """
    mtime = min(max(mtime, 0), _MAX_OCTAL)
    split = _split(name)
    if split:
        return _block(*split, size, mtime, b"0")
    text = name + b"\0"
    long_name = text.ljust(padded(len(text)), b"\0")
    return (
        _block(b"", b"././@LongLink", len(text), 0, b"L")
        + long_name
        + _block(b"", name[:100], size, mtime, b"0")
    )


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """``name`` as ustar's prefix and name, or None if it does not fit."""
    if len(name) <= 100:
        return b"", name
    slash = name.find(b"/", len(name) - 101)
    return (name[:slash], name[slash + 1 :]) if 0 < slash <= 155 else None


def _block(prefix: bytes, name: bytes, size: int, mtime: int, kind: bytes) -> bytes:
    number = b"%011o\0" % size if size <= _MAX_OCTAL else b"\x80" + size.to_bytes(11, "big")
    block = _FIELDS.pack(
        name,
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        number,
        b"%011o\0" % mtime,
        b" " * 8,
        kind,
        b"",
        b"ustar\0",
        b"00",
        b"",
        b"",
        b"0000000\0",
        b"0000000\0",
        prefix,
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def explain(block: bytes) -> str:
    """What stands in this block, in words, for a block that is not the one it should be.

    Nothing in it is believed: the words are for a person.
    """
    if len(block) < BLOCK:
        return "the end of the file"
    if not any(block):
        return "an empty block"
    written = block[148:156].strip(b"\0 ")
    if written != b"%06o" % sum(block[:148] + b" " * 8 + block[156:BLOCK]):
        return "no tar header"
    name, mode, *_, kind, _link, magic, _version, _user, _group, _major, _minor, prefix = (
        field.split(b"\0")[0] for field in _FIELDS.unpack(block[:BLOCK])
    )
    if prefix and magic == b"ustar":
        name = prefix + b"/" + name
    shown = f"{_KINDS.get(kind or b'0', 'a file')} named {to_text(name)!r}"
    parts = name.split(b"/")
    if not parts[0]:
        shown += ", an absolute path"
    if b".." in parts:
        shown += ", a path with '..'"
    if mode[-4:-3] in b"1234567" and mode[-4:-3]:
        shown += f", with mode {to_text(mode)}"
    try:
        name.decode()
    except UnicodeDecodeError:
        shown += ", a name that is not UTF-8"
    return shown
