"""Tables of stars that something else has packed, or written its own objects into."""

import bz2
import gzip
from collections.abc import Callable

import pytest
from nightferry.photometry import tables
from nightferry.photometry.measured import Exposure, NotCalibrated, Reading

from tests.unit.photometry_files import table, written

PLAIN = written(table(), "ecsv")


def stars(content: bytes) -> list[float]:
    (exposure,) = tables.read(content, "a file", Reading())
    assert isinstance(exposure, Exposure)
    return [float(m) for m in exposure.magnitude]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_table_is_read_and_one_that_was_cut_is_refused(
    pack: Callable[[bytes], bytes],
) -> None:
    packed = pack(PLAIN)
    assert stars(packed) == stars(PLAIN)
    with pytest.raises(NotCalibrated, match="ends too early") as why:
        stars(packed[:-100])
    assert why.value.reason == "unreadable"
    with pytest.raises(NotCalibrated, match="broken"):
        stars(packed[:20] + bytes(40) + packed[60:])


def test_a_table_whose_header_holds_another_programs_objects_is_read_without_them() -> None:
    head, _, rows = PLAIN.decode().partition("# schema:")
    private = "# meta: !!omap\n# - __attributes__:\n#     camera: !Camera {gain: 1.5}\n"
    assert stars(f"{head}{private}# schema:{rows}".encode()) == stars(PLAIN)
    with pytest.raises(NotCalibrated, match="no SExtractor"):
        stars(PLAIN.replace(b"- {name: ra,", b"- {nam: ra,"))
