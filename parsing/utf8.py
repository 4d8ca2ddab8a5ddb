"""Whether bytes are UTF-8, and where they first are not.

What lives here: the check of blocks, beside the structure scan and by its measure: most bytes are ASCII and are
passed over without a look at each.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from parsing.records import Records
from parsing.source import Source

BLOCK = 4 << 20  #: bytes looked at in one step
SPARSE = 8  #: up to one byte in so many that is not ASCII, only those are looked at


class NotUtf8(Exception):
    """Say at which offset the bytes stop being UTF-8."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"byte {offset} is not UTF-8")
        self.offset = offset


def checked(source: Source, batches: Iterator[Records]) -> Iterator[Records]:
    """Give records whose bytes are UTF-8; raise NotUtf8 at the first that are not."""
    for records in batches:
        check(source, int(records.start[0]), int(records.after[-1]))
        yield records


def check(source: Source, start: int, stop: int) -> None:
    """Raise NotUtf8 where the bytes between two offsets, both at a character's edge, are not UTF-8."""
    bad = first_invalid(source, start, stop)
    if bad is not None:
        raise NotUtf8(bad)


def first_invalid(source: Source, start: int, stop: int) -> int | None:
    """Give the offset of the first byte between two offsets that is not UTF-8, None where all are."""
    at = start
    while at < stop:
        block = source.view[at : min(at + BLOCK, stop)]
        size = len(block) if at + BLOCK >= stop else _whole_characters(block)
        if not _sound(block[:size]):
            try:
                block[:size].tobytes().decode("utf-8")
            except UnicodeDecodeError as error:
                return at + error.start
        at += size
    return None


def _whole_characters(block: npt.NDArray[np.uint8]) -> int:
    """Give the length of a block without a character that it may cut at its end."""
    for back in range(1, 4):
        if block[-back] >= 0xC0:
            return len(block) - back
        if block[-back] < 0x80:
            break
    return len(block)


def _sound(block: npt.NDArray[np.uint8]) -> bool:
    """Tell whether a block is UTF-8; False sends it to the decoder, which is slow where little is ASCII."""
    high = block.view(np.int8) < 0
    if not high.any():
        return True
    at = np.flatnonzero(high)
    return len(at) <= len(block) // SPARSE and _sequences_are_sound(block, at)


def _sequences_are_sound(block: npt.NDArray[np.uint8], at: npt.NDArray[np.int64]) -> bool:
    """Tell whether the bytes at these offsets, all that are not ASCII, form whole characters."""
    byte = block[at]
    lead = byte >= 0xC0
    follow = np.where(byte >= 0xF0, 3, np.where(byte >= 0xE0, 2, 1))[lead]
    first = at[lead]
    if (byte[lead] > 0xF4).any() or (byte[lead] < 0xC2).any() or len(at) != len(first) + int(follow.sum()):
        return False
    if len(first) and int((first + follow)[-1]) >= len(block):
        return False
    for step in (1, 2, 3):
        some = first[follow >= step] + step
        if (block[some] & 0xC0 != 0x80).any():
            return False
    leading, second = block[first], block[first + 1] if len(first) else byte[:0]
    narrow = (leading == 0xE0) & (second < 0xA0) | (leading == 0xED) & (second > 0x9F)
    narrow |= (leading == 0xF0) & (second < 0x90) | (leading == 0xF4) & (second > 0x8F)
    return not narrow.any()
