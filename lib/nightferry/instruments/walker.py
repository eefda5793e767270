"""Finds the headers in a stream of FITS bytes, whatever the stream comes from.

Bytes are fed in pieces of any size; data units are skipped by the length that their header states.
Nothing is kept but the cards, and these within limits.
"""

import re

from nightferry.instruments.base import Hdu, HeaderState, Limits

BLOCK = 2880
CARD = 80
_TEXT = bytes(range(0x20, 0x7F))
_SIZE_BEGINS = frozenset((b"BITPI", b"NAXIS", b"PCOUN", b"GCOUN", b"GROUP"))
_SIZE_CARD = re.compile(rb"(BITPIX|NAXIS\d{0,3}|PCOUNT|GCOUNT|GROUPS) *= *([-+]?\d{1,30}|[TF])\b")


class Walker:
    """The state of one walk. ``done`` says that nothing more is wanted from the stream."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._headers: list[bytes] = []  # of each HDU, the whole cards before END
        self.defects: list[str] = []
        self.header: HeaderState = "none"
        self.complete: bool | None = None
        self.done = False
        self.to_skip = 0  # bytes of data, with their padding, before the next header
        self._padding = 0  # how many of them are padding
        self._offset = 0  # of the stream, where the next byte belongs
        self._pending = b""  # less than one block
        self._blocks: list[bytes] = []  # of the header that is being read
        self._in_header = False
        self._header_bytes = 0

    @property
    def hdus(self) -> tuple[Hdu, ...]:
        """The headers that were found. Made when asked for: who looks for the end needs none."""
        return tuple(Hdu(n, card_images(raw)) for n, raw in enumerate(self._headers))

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        position = 0
        while position < len(data) and not self.done:
            if self.to_skip:
                step = min(self.to_skip, len(data) - position)
                self.skipped(step)
                position += step
                continue
            piece = data[position : position + BLOCK - len(self._pending)]
            position += len(piece)
            self._offset += len(piece)
            self._pending += piece
            if len(self._pending) == BLOCK:
                block, self._pending = self._pending, b""
                self._take(block)

    def skipped(self, count: int) -> None:
        """Say that ``count`` bytes of ``to_skip`` passed by, fed or not."""
        self.to_skip -= count
        self._offset += count

    def finish(self) -> None:
        """Say that the stream has ended here."""
        if self.done:
            return
        self.done = True
        if self._in_header:
            self._blocks.append(self._pending)
            self._break(
                f"It ends at byte {self._offset}, within the header of HDU {len(self._headers)}: "
                "there is no END card.",
                False,
            )
        elif self.to_skip > self._padding:
            missing = self.to_skip - self._padding
            self._break(
                f"It ends at byte {self._offset}, {missing} bytes short of what the header of "
                f"HDU {len(self._headers) - 1} says.",
                False,
            )
        elif self.to_skip:
            self.complete = False
            self.defects.append(
                f"Its last block is not filled up: {self.to_skip} bytes of padding are missing. "
                "No data is."
            )
        elif self._pending:
            self._first_block(self._pending)
        else:
            self.complete = True if self._headers else None

    def stop(self, sentence: str) -> None:
        """Give up on the stream, for a reason outside it."""
        if not self.done:
            self._break(sentence, None)

    def _take(self, block: bytes) -> None:
        if not self._in_header:
            self._first_block(block)
            if self.done:
                return
        end = _end_of_header(block)
        self._blocks.append(block if end is None else block[:end])
        cards = (len(self._blocks) - 1) * (BLOCK // CARD) + len(self._blocks[-1]) // CARD
        if cards > self.limits.cards:
            del self._blocks[self.limits.cards // (BLOCK // CARD) + 1 :]
            self._break(
                f"The header of HDU {len(self._headers)} has more than {self.limits.cards} cards: "
                "only the first are recorded.",
                None,
            )
        elif self._header_bytes + len(self._blocks) * BLOCK > self.limits.header_bytes:
            self._break(
                f"Its headers have more than {self.limits.header_bytes} bytes: only the first "
                "are recorded.",
                None,
            )
        elif end is not None:
            self._close_header()
        elif len(block.translate(None, _TEXT)) > BLOCK // 5:
            self._blocks.pop()
            self._break(
                f"The header of HDU {len(self._headers)} has no END card: from byte "
                f"{self._offset - BLOCK} on it is not text.",
                None,
            )

    def _first_block(self, block: bytes) -> None:
        """The stream is where a header may begin."""
        if len(self._headers) >= self.limits.hdus:
            self._break(
                f"It has more than {self.limits.hdus} HDUs: only the first are recorded.", None
            )
        elif block.startswith(b"XTENSION" if self._headers else b"SIMPLE"):
            self.header = "whole"
            self._in_header = True
            if self.done:
                self._blocks.append(block)
                self._break(
                    f"It ends at byte {self._offset}, within the header of HDU "
                    f"{len(self._headers)}: there is no END card.",
                    False,
                )
        elif self._headers and not block.strip(b"\0 "):
            self.complete = self.done = True
            self.defects.append(
                f"From byte {self._offset - len(block)} on it is filled with blanks or zeros."
            )
        elif self._headers:
            self._break(
                f"From byte {self._offset - len(block)} on, after HDU {len(self._headers) - 1}, it "
                "is not FITS.",
                True,
            )
        else:
            self.done = True  # not FITS at all: no defect, raw data need not be

    def _close_header(self) -> None:
        self._header_bytes += len(self._blocks) * BLOCK
        raw = b"".join(self._blocks)
        self._keep_cards()
        self._in_header = False
        try:
            size = _data_size(raw)
        except ValueError as problem:
            self._break(f"The header of HDU {len(self._headers) - 1} {problem}", None)
            return
        self._padding = -size % BLOCK
        self.to_skip = size + self._padding

    def _keep_cards(self) -> None:
        raw = b"".join(self._blocks)
        self._blocks = []
        if raw:
            self._headers.append(raw)

    def _break(self, sentence: str, complete: bool | None) -> None:
        self.header = "broken"
        self.complete = complete
        self.defects.append(sentence)
        self._keep_cards()
        self._in_header = False
        self.done = True


def card_images(raw: bytes) -> tuple[str, ...]:
    """The cards of the header ``raw`` (whole cards of 80 bytes, without END) as text."""
    text = raw.decode("latin-1")
    if text.isascii() and text.isprintable() and "\\x" not in text:
        return tuple([text[i : i + CARD].rstrip(" ") for i in range(0, len(text), CARD)])
    return tuple(
        "".join(_printable(c) for c in text[i : i + CARD].replace("\\x", "\\x5cx")).rstrip(" ")
        for i in range(0, len(text), CARD)
    )


def _printable(char: str) -> str:
    return char if " " <= char <= "~" else f"\\x{ord(char):02x}"


def _end_of_header(block: bytes) -> int | None:
    """Where in ``block`` the END card begins."""
    at = block.find(b"END")
    while at >= 0:
        # Some write zeros where the standard wants blanks.
        if at % CARD == 0 and block[at : at + CARD].rstrip(b" \0") == b"END":
            return at
        at = block.find(b"END", at + 1)
    return None


def _data_size(raw: bytes) -> int:
    """Bytes of the data unit that the header ``raw`` states (FITS standard 4.0, section 4.4.1).

    Raises:
        ValueError: the header does not say, or says nonsense; the text ends a sentence that
            begins with "The header of HDU N".
    """
    sizes: dict[bytes, bytes] = {}
    for at in range(0, len(raw), CARD):
        if raw[at : at + 5] in _SIZE_BEGINS and (found := _SIZE_CARD.match(raw, at, at + CARD)):
            sizes.setdefault(found[1], found[2])
    try:
        axes = int(sizes[b"NAXIS"])
        bits = abs(int(sizes[b"BITPIX"]))
        lengths = [int(sizes[b"NAXIS%d" % n]) for n in range(1, axes + 1)] if axes < 1000 else [-1]
        extra = int(sizes.get(b"PCOUNT", b"0"))
        groups = int(sizes.get(b"GCOUNT", b"1"))
    except KeyError as missing:
        raise ValueError(f"has no readable {missing.args[0].decode()}.") from None
    except ValueError:
        raise ValueError("has a size that is not a number.") from None
    if axes == 0:
        return 0
    if sizes.get(b"GROUPS") == b"T" and lengths[0] == 0:
        lengths = lengths[1:]
    pixels = 1
    for length in lengths:
        pixels *= length
        if length < 0 or pixels > 1 << 62:
            break
    size = bits // 8 * groups * (extra + pixels)
    if min(lengths, default=0) < 0 or bits not in (8, 16, 32, 64) or not 0 <= size < 1 << 62:
        raise ValueError("states an impossible size of its data.")
    return size
