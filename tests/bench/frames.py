"""FITS files to measure with: real headers, and bytes that no disk or hash can guess."""

import os
from datetime import datetime, timedelta
from pathlib import Path

BLOCK = 2880
FIRST = datetime(2026, 3, 14, 23, 0)  # in UTC, within one night


def write_frames(folder: Path, count: int, size: int, cards: int, by: int = 2000) -> int:
    """Writes ``count`` frames of about ``size`` bytes with ``cards`` cards each, ``by`` in a folder.
    Returns their bytes in all."""
    whole = 0
    for number in range(count):
        directory = folder / f"d{number // by:03d}"
        directory.mkdir(parents=True, exist_ok=True)
        frame = frame_of(number, size, cards)
        (directory / f"f{number:06d}.fits").write_bytes(frame)
        whole += len(frame)
    return whole


def frame_of(number: int, size: int, cards: int) -> bytes:
    pixels = max(BLOCK, size - _padded((cards + 1) * 80))
    start = FIRST + timedelta(seconds=number % 20_000)
    given = [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    1",
        f"NAXIS1  = {pixels:20d}",
        "INSTRUME= 'bench   '",
        "OBJECT  = 'NGC 5139'",
        f"DATE-OBS= '{start.isoformat()}'",
        "EXPTIME =                  1.0",
        "RA      =             201.6968 / [deg] right ascension",
        "DEC     =             -47.4795 / [deg] declination",
        f"FRAMENO = {number:20d}",
    ]
    given += [
        f"KEY{n:05d}= {n * 0.1234567:20.8f} / what the telescope said of it"
        for n in range(cards - len(given))
    ]
    header = "".join(card.ljust(80) for card in [*given, "END"]).encode()
    return header.ljust(_padded(len(header))) + os.urandom(pixels).ljust(_padded(pixels), b"\0")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
