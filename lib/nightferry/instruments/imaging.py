"""What an instrument's file says of its images."""

from dataclasses import dataclass

# Frames that agree in these were read out alike, and calibrate each other.
CONFIGURATION = (
    "CCDSUM", "XBINNING", "YBINNING", "BINNING", "CDELT1U", "CDELT2U", "CRVAL1U", "CRVAL2U",
    "DETSEC", "CCDSEC", "DATASEC", "GAIN", "READ-SPD", "RDMODE", "READMODE", "READOUTM", "GEOMCODE",
)  # fmt: skip


@dataclass(frozen=True)
class Imaging:
    """Of its images, where the headers do not say it, or say it in words of their own.

    ``data`` and ``overscan`` are sections as in FITS, ``[1:1024,1:1024]``, or keywords that hold
    one; ``overscan: rest`` are the columns that ``data`` leaves.
    """

    gain: float | None = None  # e-/ADU
    read_noise: float | None = None  # e-
    saturation: float | None = None  # ADU, as read out
    scale: float | None = None  # arcsec a pixel, of frames without a WCS
    data: str = "DATASEC"
    overscan: str = "BIASSEC"
    configuration: tuple[str, ...] = CONFIGURATION

    def __post_init__(self) -> None:
        if self.gain is not None and self.gain <= 0:
            raise ValueError("gain: electrons an ADU, more than 0")
