"""A night of files with every kind of name, and its package, for the tests of packaging."""

import os
import tarfile
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

from nightferry.names import to_bytes, to_text
from nightferry.packaging.layout import plan
from nightferry.packaging.manifest import Document, Member, Observation
from nightferry.packaging.naming import package_name
from nightferry.packaging.pack import Packed, pack

ID = "018f6c2a-7d10-7abc-8def-0123456789ab"
NIGHT = date(2024, 5, 12)
HEADERS = (
    "SIMPLE  =                    T\nOBJECT  = 'M 51 \\x07 <b>''; DROP'\nEND",
    "XTENSION= 'IMAGE   '\nEND",
)

CONTENTS: dict[bytes, bytes] = {
    b"2024/d1001.fits": b"frame" * 40_000,
    b"2024/d1002.fits": bytes(512),
    b"empty.fits": b"",
    b"D1001.FITS": b"upper",
    b"d1001.fits": b"lower",
    b"with space .fits": b"1",
    b"line\nend.fits": b"2",
    b"100%.fits": b"3",
    b"back\\slash.fits": b"4",
    b"=0A equals.fits": b"5",
    b"latin-\xe9.fits": b"6",
    "nfc-\u00e9.fits".encode(): b"7",
    "nfd-e\u0301.fits".encode(): b"8",
    b"\xff" * 255: b"9",
    b"n" * 255: b"10",
    b"/".join([b"deep" * 20] * 20) + b"/long.fits": b"11",
}


def member(raw: bytes, content: bytes, mtime: int = 1_715_500_000) -> Member:
    return Member(
        id=f"018f6c2a-7d10-7000-8000-{sha256(raw).hexdigest()[:12]}",
        path=to_text(raw),
        size=len(content),
        sha256=sha256(content).hexdigest(),
        mtime=mtime,
        mode=0o640,
        header="whole",
        defects=("the last block is short",) if not content else (),
        hdus=HEADERS,
        observation="018f6c2a-7d10-7001-8000-000000000001",
        derived={"ra": 202.5, "dec": -47.25, "seconds": 300.0, "frame_type": "science"},
        ledger={"location": "dome", "ordinal": 0},
    )


def document(contents: dict[bytes, bytes] | None = None) -> Document:
    contents = CONTENTS if contents is None else contents
    return Document(
        id=ID,
        name=package_name("nickel", NIGHT, ID),
        site="hill",
        night=NIGHT,
        instrument="nickel",
        module="CCD-2",
        created=datetime(2024, 5, 13, 14, 0, 0, 250_000, tzinfo=UTC),
        owner="survey",
        public_after=datetime(2025, 5, 13, tzinfo=UTC),
        observations=(
            Observation("018f6c2a-7d10-7001-8000-000000000001", "survey", None, {"target": "M 51"}),
        ),
        members=tuple(member(raw, content) for raw, content in contents.items()),
    )


def write_sources(folder: Path, contents: dict[bytes, bytes] | None = None) -> None:
    for raw, content in (CONTENTS if contents is None else contents).items():
        path = os.path.join(os.fsencode(folder), raw)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def write_package(source: Path, tar: Path, what: Document) -> Packed:
    def opened(m: Member) -> int:
        return os.open(os.path.join(os.fsencode(source), to_bytes(m.path)), os.O_RDONLY)

    with tar.open("xb") as file:
        return pack(what, opened, file.write, lambda written: None)


def intruder(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    """A foreign member, as another program would write it: header, bytes, padding."""
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(-(-info.size // 512) * 512)


def with_member(good: bytes, what: Document, before: str, foreign: bytes) -> bytes:
    """The package ``good`` with a foreign member put in before the one named ``before``."""
    entry = next(e for e in plan(what).entries() if e.name == before)
    start = entry.offset - len(entry.header)
    return good[:start] + foreign + good[start:]
