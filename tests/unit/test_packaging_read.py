"""A package is found out when one byte of it is not the one that was written."""

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from nightferry.names import to_bytes
from nightferry.packaging.layout import plan
from nightferry.packaging.read import (
    Refused,
    Source,
    check,
    extract_member,
    read_document,
    require_tags,
)

from tests.unit.packaging_night import CONTENTS, document, write_package, write_sources

GIVEN = document()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("package")
    write_sources(folder / "source")
    write_package(folder / "source", folder / "x.tar", GIVEN)
    return (folder / "x.tar").read_bytes()


def source_of(raw: bytes, asked: list[tuple[int, int]] | None = None) -> Source:
    """A store that gives chunks of odd lengths, as an object store may."""

    def read(offset: int, length: int) -> Iterator[bytes]:
        if asked is not None:
            asked.append((offset, length))
        stretch = io.BytesIO(raw[offset : offset + length])
        while chunk := stretch.read(70_001):
            yield chunk

    return Source(len(raw), read)


def test_a_good_package_has_no_findings(good: bytes, tmp_path: Path) -> None:
    assert check(source_of(good)) == []
    assert check(source_of(good), GIVEN) == []
    (tmp_path / "x.tar").write_bytes(good)
    fd = os.open(tmp_path / "x.tar", os.O_RDONLY)
    try:
        assert check(Source.of_fd(fd)) == []
    finally:
        os.close(fd)


def test_the_document_is_read_from_the_end_alone(good: bytes) -> None:
    asked: list[tuple[int, int]] = []
    found = read_document(source_of(good, asked))
    assert found == GIVEN
    assert tuple(m.offset for m in found.members) == plan(GIVEN).offsets
    assert len(asked) == 1


def test_a_document_of_many_megabytes_is_found_as_well(tmp_path: Path) -> None:
    write_sources(tmp_path / "source")
    cards = "\n".join(f"KEY{n:05d}= 'a value'" for n in range(200_000))
    first = replace(GIVEN.members[0], hdus=(cards,))
    what = replace(GIVEN, members=(first, *GIVEN.members[1:]))
    write_package(tmp_path / "source", tmp_path / "x.tar", what)
    assert read_document(source_of((tmp_path / "x.tar").read_bytes())) == what


def test_a_document_with_something_hidden_behind_it_is_refused(good: bytes) -> None:
    last = list(plan(GIVEN).entries())[-1]
    assert last.padding
    at = last.offset + last.size
    with pytest.raises(Refused, match=r"after nightferry\.json"):
        read_document(source_of(good[:at] + b"x" + good[at + 1 :]))


def test_one_file_is_read_by_its_offset_without_the_others(good: bytes) -> None:
    for m in read_document(source_of(good)).members:
        asked: list[tuple[int, int]] = []
        assert b"".join(extract_member(source_of(good, asked), m)) == CONTENTS[to_bytes(m.path)]
        assert asked == [(m.offset, m.size)]


def test_one_file_that_rotted_is_refused_at_its_end(good: bytes) -> None:
    m = next(m for m in read_document(source_of(good)).members if m.path.endswith("d1001.fits"))
    assert m.offset is not None
    rotten = good[: m.offset] + b"?" + good[m.offset + 1 :]
    with pytest.raises(Refused, match="SHA-256 is not the registered one"):
        b"".join(extract_member(source_of(rotten), m))
    with pytest.raises(Refused, match="bytes, registered with"):
        b"".join(extract_member(source_of(good[: m.offset + 1]), m))
    with pytest.raises(ValueError, match="no offset"):
        b"".join(extract_member(source_of(good), GIVEN.members[0]))


def places(raw: bytes) -> dict[str, int]:
    layout = plan(GIVEN)
    entries = list(layout.entries())
    found = {f"header of {e.name[:30]}": e.offset - len(e.header) + 5 for e in entries}
    found |= {f"bytes of {e.name[:30]}": e.offset for e in entries if e.size}
    found |= {f"padding of {e.name[:30]}": e.offset + e.size for e in entries if e.padding}
    return {**found, "first end block": len(raw) - 1024, "last byte": len(raw) - 1}


def test_one_flipped_bit_anywhere_is_found(good: bytes) -> None:
    for place, at in places(good).items():
        rotten = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert check(source_of(rotten), GIVEN), place
        assert check(source_of(rotten)), place


def test_a_package_cut_anywhere_is_found(good: bytes) -> None:
    boundaries = {at for e in plan(GIVEN).entries() for at in (e.offset, e.offset - len(e.header))}
    for at in sorted({0, 1, 512, len(good) - 512, len(good) - 1024, len(good) - 1, *boundaries}):
        with pytest.raises(Refused):
            read_document(source_of(good[:at]))
        assert check(source_of(good[:at]))
        assert check(source_of(good[:at]), GIVEN), at


@pytest.mark.parametrize("more", [b"!", bytes(1), bytes(512), bytes(9216), b"x" * 512])
def test_bytes_after_the_end_are_found(good: bytes, more: bytes) -> None:
    with pytest.raises(Refused):
        read_document(source_of(good + more))
    assert check(source_of(good + more), GIVEN)


def test_a_changed_offset_in_the_document_is_found(good: bytes) -> None:
    offset = plan(GIVEN).offsets[3]
    forged = good.replace(b'"offset":%d' % offset, b'"offset":%d' % (offset + 1))
    assert forged != good
    with pytest.raises(Refused, match="not as it was written"):
        read_document(source_of(forged))


def test_a_finding_names_the_file_and_says_what_stands_there(good: bytes) -> None:
    m, at = GIVEN.members[0], plan(GIVEN).offsets[0]
    rotten = good[:at] + b"X" * m.size + good[at + m.size :]
    assert [(f.name, f.what) for f in check(source_of(rotten))] == [
        (m.name, f"{m.path}: its SHA-256 is not the registered one")
    ]


def test_a_document_that_rotted_and_is_still_one_is_found_by_the_texts_at_the_beginning(
    good: bytes,
) -> None:
    rotten = bytearray(good)
    rotten[rotten.rindex(b"SIMPLE")] ^= 1
    source = source_of(bytes(rotten))
    whole = read_document(source_of(good))
    require_tags(source_of(good), whole)
    with pytest.raises(Refused, match=r"tagmanifest-sha256.txt and nightferry.json do not agree"):
        require_tags(source, read_document(source))
