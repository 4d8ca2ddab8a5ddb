"""Files that are not UTF-8 made so, block by block, before anything else looks at them.

What lives here: decoding and writing to a nameless file beside. Which encoding it is was decided before.
"""

import codecs
import tempfile

from parsing.encoding import Encoding, NotDecodable
from parsing.source import Source

BLOCK = 1 << 20  #: bytes decoded at once


def transcoded(source: Source, encoding: Encoding) -> Source:
    """Give the text of a file as UTF-8 without a mark; raise NotDecodable at the first byte that is no text."""
    decoder = codecs.getincrementaldecoder(encoding.name)("strict")
    with tempfile.TemporaryFile() as out:
        at = encoding.start
        while at < source.size:
            block = bytes(source.data[at : at + BLOCK])
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, at + BLOCK >= source.size)
            except UnicodeDecodeError as error:
                before = at - pending
                good = (source.data[before:at] + block)[: error.start]
                out.write(good.decode(encoding.name, "ignore").encode("utf-8"))
                out.flush()
                raise NotDecodable(before + error.start, Source(out)) from None
            out.write(text.encode("utf-8"))
            at += len(block)
            source.release(at)
        out.flush()
        return Source(out)
