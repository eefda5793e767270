"""From bytes to meaning: reads headers, and derives from them what an exposure was. No SQL."""

from nightferry.instruments.base import (
    Arithmetic,
    Completeness,
    Exposure,
    FileFacts,
    FrameType,
    Hdu,
    Limits,
    Value,
)
from nightferry.instruments.definitions import Instruments
from nightferry.instruments.exposure import derive
from nightferry.instruments.reader import completeness, read_file

__all__ = [
    "Arithmetic",
    "Completeness",
    "Exposure",
    "FileFacts",
    "FrameType",
    "Hdu",
    "Instruments",
    "Limits",
    "Value",
    "completeness",
    "derive",
    "read_file",
]
