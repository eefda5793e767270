"""Whatever is in a file, reading it gives its hash and what can be known; nothing is raised.

Over 300 lines: each way in which a file can be broken.
"""

import bz2
import gzip
import hashlib
import io
import os
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from nightferry.instruments import Completeness, FileFacts, Limits, completeness, read_file

BLOCK = 2880


def header(*cards: str, end: bool = True) -> bytes:
    """A header of these card images, filled up to whole blocks."""
    text = "".join(f"{c:80}" for c in (*cards, *(["END"] if end else [])))
    return text.encode("latin-1").ljust(-(-len(text) // BLOCK) * BLOCK)


def primary(*cards: str, axes: tuple[int, ...] = (100,)) -> bytes:
    sizes = [f"NAXIS{n} = {length:20d}" for n, length in enumerate(axes, 1)]
    return header(
        "SIMPLE  =                    T",
        "BITPIX  =                   16",
        f"NAXIS   = {len(axes):20d}",
        *sizes,
        *cards,
    )


FRAME = primary("OBJECT  = 'M13'") + bytes(BLOCK)


def frame_of(*hdus: fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU) -> bytes:
    file = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(file)
    return file.getvalue()


class Place:
    """A folder to put bytes in and read them from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, content: bytes, name: str) -> int:
        path = self.folder / name.replace("/", "_")
        path.write_bytes(content)
        return os.open(path, os.O_RDONLY)

    def read(self, content: bytes, name: str = "a.fits", limits: Limits | None = None) -> FileFacts:
        fd = self.open(content, name)
        try:
            facts = read_file(fd, name, limits or Limits())
        finally:
            os.close(fd)
        assert facts.sha256 == hashlib.sha256(content).hexdigest()
        assert facts.size == len(content)
        return facts

    def complete(
        self, content: bytes, name: str = "a.fits", limits: Limits | None = None
    ) -> Completeness:
        fd = self.open(content, name)
        try:
            return completeness(fd, name, limits or Limits())
        finally:
            os.close(fd)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_plain_frame_gives_its_hash_and_every_card_of_every_hdu(place: Place):
    image = fits.ImageHDU(np.ones((70, 30), ">i4"), name="SCI")
    image.header["LONGWORD"] = "x" * 200
    image.header["HIERARCH ESO DET CHIP"] = "left"
    content = frame_of(fits.PrimaryHDU(), image, fits.ImageHDU(name="EMPTY"))
    facts = place.read(content)
    assert (facts.header, facts.defects, facts.complete) == ("whole", (), True)
    with fits.open(io.BytesIO(content)) as hdus:
        for ours, theirs in zip(facts.hdus, hdus, strict=True):
            images = theirs.header.tostring(padding=False, endcard=False)
            cards = [images[i : i + 80].rstrip() for i in range(0, len(images), 80)]
            assert list(ours.cards) == cards
    assert [hdu.index for hdu in facts.hdus] == [0, 1, 2]
    assert place.complete(content) == Completeness(True, "It is as long as it says.")


def test_a_header_is_found_wherever_it_lies_in_a_file_longer_than_one_read(place: Place):
    big = fits.PrimaryHDU(np.zeros((1200, 1000), ">i2"))
    content = frame_of(big, fits.ImageHDU(np.zeros(10, ">f4"), name="TAIL"))
    assert [h.cards[-1] for h in place.read(content).hdus][1].startswith("EXTNAME")


@pytest.mark.parametrize("suffix", [".gz", ".Z"])
def test_a_compressed_frame_is_hashed_as_it_came_and_its_headers_are_read(
    place: Place, suffix: str
):
    pack = gzip.compress if suffix == ".gz" else compress
    facts = place.read(pack(FRAME), f"a.fits{suffix}")
    assert (facts.header, facts.defects, facts.complete) == ("whole", (), True)
    assert facts.hdus == place.read(FRAME).hdus
    assert place.complete(pack(FRAME), f"a.fits{suffix}").complete is True


def test_compression_is_told_by_the_content_and_not_by_the_name(place: Place):
    assert place.read(gzip.compress(FRAME), "a.fits").header == "whole"
    assert place.read(FRAME, "a.fits.gz").header == "whole"


def test_a_gzip_file_of_several_members_is_read_through(place: Place):
    content = gzip.compress(FRAME[:1000]) + gzip.compress(FRAME[1000:])
    assert (place.read(content).header, place.read(content).complete) == ("whole", True)


def test_an_fpacked_frame_is_a_fits_file_with_a_table(place: Place):
    pixels = np.arange(10_000, dtype=np.int16).reshape(100, 100)
    facts = place.read(frame_of(fits.PrimaryHDU(), fits.CompImageHDU(pixels)), "a.fits.fz")
    assert (facts.header, facts.complete, len(facts.hdus)) == ("whole", True, 2)


def test_an_empty_file_has_no_header_and_a_defect(place: Place):
    facts = place.read(b"")
    assert (facts.header, facts.defects, facts.complete) == ("none", ("It is empty.",), False)
    assert place.complete(b"").complete is False


def test_a_text_file_has_no_header_and_no_defect(place: Place):
    facts = place.read(b"seeing 1.4 arcsec\n" * 999, "notes.txt")
    assert (facts.header, facts.defects, facts.complete) == ("none", (), None)
    assert place.complete(b"seeing\n", "notes.txt").complete is None


def test_a_text_file_with_the_name_of_a_frame_is_told(place: Place):
    facts = place.read(b"404 not found", "d1001.fits")
    assert facts.header == "none"
    assert "does not begin as one" in facts.defects[0]
    assert place.read(bz2.compress(FRAME), "a.fits.bz2").header == "none"


@pytest.mark.parametrize("length", [7, 80, 1000, BLOCK, BLOCK + 1, BLOCK + 199])
def test_a_truncated_frame_is_broken_and_incomplete(place: Place, length: int):
    facts = place.read(FRAME[:length])
    assert (facts.header, facts.complete) == ("broken", False)
    assert f"ends at byte {length}" in facts.defects[0]
    assert facts.hdus[0].cards[0].startswith("SIMPLE")
    assert place.complete(FRAME[:length]).complete is False


def test_what_was_read_before_the_cut_is_kept(place: Place):
    content = frame_of(fits.PrimaryHDU(), fits.ImageHDU(np.zeros(5000)))
    assert len(place.read(content[:-BLOCK]).hdus) == 2


def test_missing_padding_is_a_defect_but_no_data_is_lost(place: Place):
    facts = place.read(FRAME[: BLOCK + 200])
    assert facts.header == "whole"
    assert "padding" in facts.defects[0]
    assert place.complete(FRAME[: BLOCK + 200]).complete is False


def test_a_truncated_gzip_file_is_broken_and_incomplete(place: Place):
    noise = primary(axes=(50_000,)) + os.urandom(100_000).ljust(100_800, b"\0")
    content = gzip.compress(noise)
    assert place.complete(content, "a.fits.gz").complete is True
    for cut in (12, 300, len(content) - 5):
        assert place.read(content[:cut], "a.fits.gz").complete is False
        assert place.complete(content[:cut], "a.fits.gz").complete is False
    facts = place.read(gzip.compress(FRAME)[:-1], "a.fits.gz")
    assert facts.header == "broken"
    assert "trailer" in facts.defects[0]


def test_a_gzip_file_with_a_wrong_checksum_is_broken(place: Place):
    content = bytearray(gzip.compress(FRAME))
    content[-6] ^= 1
    facts = place.read(bytes(content), "a.fits.gz")
    assert (facts.header, facts.complete) == ("broken", False)
    assert "damaged" in facts.defects[0]


def test_a_damaged_compress_file_is_incomplete(place: Place):
    facts = place.read(compress(FRAME)[:900] + b"\xff" * 500, "a.fits.Z")
    assert facts.complete is False
    assert facts.header == "broken"
    facts = place.read(compress(b"seeing " * 200) + b"\xff" * 9, "notes.Z")
    assert (facts.header, facts.complete) == ("none", False)
    assert "damaged" in facts.defects[0]


def test_garbage_after_the_last_hdu_is_broken_but_filling_is_not(place: Place):
    facts = place.read(FRAME + b"\x07garbage" * 400)
    assert facts.header == "broken"
    assert f"From byte {len(FRAME)} on" in facts.defects[0]
    assert len(facts.hdus) == 1
    assert place.read(FRAME + bytes(10 * BLOCK)).header == "whole"


def test_a_header_without_end_stops_where_it_is_no_longer_text(place: Place):
    content = header("SIMPLE  =                    T", "OBJECT  = 'M13'", end=False)
    facts = place.read(content + os.urandom(50 * BLOCK))
    assert facts.header == "broken"
    assert "no END" in facts.defects[0]
    assert "OBJECT  = 'M13'" in facts.hdus[0].cards
    assert len(facts.hdus[0].cards) <= 36


@pytest.mark.parametrize("card", ["HISTORY and so on", "CONTINUE  'and so on&'"])
def test_200_000_cards_are_cut_at_the_limit_and_cost_little_memory(place: Place, card: str):
    content = primary("OBJECT  = 'M13&'", *[card] * 200_000, axes=()) + bytes(BLOCK)
    fd = place.open(content, "many.fits")
    del content
    tracemalloc.start()
    facts = read_file(fd, "many.fits")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    os.close(fd)
    assert facts.header == "broken"
    assert "more than 20000 cards" in facts.defects[0]
    assert 20_000 <= len(facts.hdus[0].cards) < 20_100
    assert peak < 20e6


def test_10_000_cards_are_recorded_whole(place: Place):
    facts = place.read(primary(*["COMMENT x"] * 10_000, axes=()))
    assert (facts.header, len(facts.hdus[0].cards)) == ("whole", 10_003)


def test_too_many_hdus_and_too_long_headers_are_cut_at_the_limit(place: Place):
    content = frame_of(fits.PrimaryHDU(), *[fits.ImageHDU() for _ in range(9)])
    facts = place.read(content, limits=Limits(hdus=4))
    assert (facts.header, len(facts.hdus)) == ("broken", 4)
    assert "more than 4 HDUs" in facts.defects[0]
    assert place.read(content, limits=Limits(hdus=10)).header == "whole"
    facts = place.read(content, limits=Limits(header_bytes=3 * BLOCK))
    assert (facts.header, "8640 bytes" in facts.defects[0]) == ("broken", True)


def test_reading_headers_stops_when_it_takes_too_long(place: Place):
    facts = place.read(FRAME, limits=Limits(seconds=-1.0))
    assert facts.header == "broken"
    assert "longer than" in facts.defects[0]


@pytest.mark.parametrize(
    "axes", [(10**12, 10**12), (-5,), (10**29,), (10**9, 10**9, 10**9, 10**9), (10**7, 10**7)]
)
def test_a_huge_or_impossible_size_is_broken(place: Place, axes: tuple[int, ...]):
    facts = place.read(primary("OBJECT  = 'M13'", axes=axes) + bytes(BLOCK))
    assert facts.header == "broken"
    assert "OBJECT  = 'M13'" in facts.hdus[0].cards


@pytest.mark.parametrize(
    "cards",
    [
        (),
        ("BITPIX  = 16",),
        ("BITPIX  = T", "NAXIS   = 0"),
        ("BITPIX  = 7", "NAXIS   = 1", "NAXIS1  = 5"),
    ],
)
def test_a_header_that_does_not_say_its_size_is_broken(place: Place, cards: tuple[str, ...]):
    facts = place.read(header("SIMPLE  =                    T", *cards))
    assert (facts.header, len(facts.hdus)) == ("broken", 1)
    assert "HDU 0" in facts.defects[0]
    assert place.read(header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 99999999")).header == "broken"


def test_bytes_that_are_not_printable_are_written_so_that_they_come_back(place: Place):
    value = "\x1b[31m\0é\\x41\\"
    [hdu] = place.read(primary(f"OBJECT  = '{value}'", axes=())).hdus
    assert hdu.cards[3] == r"OBJECT  = '\x1b[31m\x00\xe9\x5cx41" + "\\'"
    [plain] = place.read(primary("OBJECT  = '\\x41 \\data'", axes=())).hdus
    assert plain.cards[3] == r"OBJECT  = '\x5cx41 \data'"
    assert all(card.isascii() and card.isprintable() for card in hdu.cards)


@pytest.mark.parametrize("inside", [FRAME, primary(axes=(2**40,)), b"no FITS at all"])
def test_a_gzip_bomb_costs_little(place: Place, inside: bytes):
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(inside)
    bomb += b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    assert len(bomb) < 250_000
    limits = Limits(decompressed_bytes=16 << 20)
    fd = place.open(bomb, "bomb.fits.gz")
    tracemalloc.start()
    facts = read_file(fd, "bomb.fits.gz", limits)
    told = completeness(fd, "bomb.fits.gz", limits)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    os.close(fd)
    assert peak < 5e6
    assert facts.complete is None
    assert told.complete is None
    assert "16777216 bytes when decompressed" in " ".join(facts.defects)
    assert "16777216 bytes when decompressed" in told.reason


def test_completeness_of_a_plain_frame_reads_its_headers_only(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    content = frame_of(fits.PrimaryHDU(np.zeros(4_000_000, "u1")), fits.ImageHDU(name="END"))
    read = 0
    pread = os.pread

    def counting(fd: int, length: int, offset: int) -> bytes:
        nonlocal read
        read += length
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", counting)
    assert place.complete(content).complete is True
    assert read < 100_000


def test_a_file_that_grows_while_it_is_read_is_read_to_its_first_length(place: Place):
    fd = place.open(FRAME * 1000, "a.fits")
    path = place.folder / "a.fits"

    def grow(done: int) -> None:
        with path.open("ab") as file:
            file.write(b"x" * BLOCK)

    assert read_file(fd, "a.fits", progress=grow).size == len(FRAME) * 1000
    os.close(fd)


def compress(content: bytes) -> bytes:
    """What ``compress`` would write, without finding any repetition.

    Codes have 9 bits, and come in groups of eight; a CLEAR ends each group, so that the codes never
    get longer.
    """
    clear = 256
    packed = bytearray(b"\x1f\x9d\x90")
    for at in range(0, len(content), 7):
        codes = [*content[at : at + 7]]
        codes += [clear] * (8 - len(codes) if len(codes) == 7 else 0)
        number = sum(code << (9 * n) for n, code in enumerate(codes))
        packed += number.to_bytes(-(-9 * len(codes) // 8), "little")
    return bytes(packed)
