"""Columns of text whose values are slices of one buffer, made without a copy.

What lives here: the hand-over of offsets to polars, through the Arrow C data interface. The bytes must be known to be
UTF-8, and must stay as they are as long as the columns do.
"""

import nanoarrow as na
import numpy as np
import numpy.typing as npt
import polars as pl


def slices(buffer: npt.NDArray[np.uint8], edges: npt.NDArray[np.int64], names: list[str]) -> pl.DataFrame:
    """Give columns of text; each row of ``edges`` has begin and end of the values in it, in ascending order."""
    if not edges.size:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    # one text from each edge to the next; every second one stands between two values
    array = na.c_array_from_buffers(na.large_string(), edges.size - 1, [None, edges.reshape(-1), buffer])
    texts = pl.DataFrame({"": pl.Series(array)})
    width = edges.shape[1]
    return texts.select(pl.col("").gather_every(width, 2 * i).alias(name) for i, name in enumerate(names))
