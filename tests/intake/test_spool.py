"""The spool: in memory or in a file, it reads the same."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intake.spool import Spool

CHUNKS = st.lists(st.binary(max_size=60), max_size=12)
WINDOWS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=8)


@settings(max_examples=150, deadline=None)
@given(chunks=CHUNKS, windows=WINDOWS, in_memory=st.integers(0, 300), pieces=st.integers(1, 3))
def test_memory_and_file_read_the_same(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], windows: list[tuple[int, int]], in_memory: int,
    pieces: int,
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("spool")
    whole = b"".join(chunks)
    large, small = Spool(folder, in_memory=10_000), Spool(folder, in_memory=in_memory)
    for spool in (large, small):
        for start in range(0, len(chunks), pieces):
            spool.append(chunks[start : start + pieces])
    for spool in (large, small):
        assert (spool.size, spool.hexdigest()) == (len(whole), sha256(whole).hexdigest())
        for offset, length in [*windows, (0, len(whole)), (len(whole), 10)]:
            assert spool.read(offset, length) == whole[offset : offset + length]
    assert len(list(folder.iterdir())) == (len(whole) > in_memory)
    for spool in (large, small):
        spool.close()
        spool.close()
    assert list(folder.iterdir()) == []


def test_a_spool_file_is_for_us_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, in_memory=0)
    spool.append([b"secret"])
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert path.name.endswith(".spool")
    spool.close()


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "gone", in_memory=4)
    spool.append([b"1234"])
    with pytest.raises(OSError, match="No such file"):
        spool.append([b"5"])
    spool.close()
