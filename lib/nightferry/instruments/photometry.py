"""What an instrument's file says for calibrating its photometry."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Photometry:
    """Of tables of measured stars, where they do not say it themselves.

    ``colour_terms``: band -> colour -> [value, error], for exposures with too few stars to find it.
    """

    columns: Mapping[str, str] = field(default_factory=dict)  # meaning -> column
    gain: float | None = None  # e-/ADU
    per_second: bool = False  # its magnitudes are of one second already
    electrons: bool = False  # and of electrons
    colour_terms: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for band, terms in self.colour_terms.items():
            for colour, pair in terms.items():
                if len(pair) != 2:
                    raise ValueError(f"colour_terms: {band}: {colour}: [value, error]")
