"""strace around a running service: attached for a while, then gone, and what it wrote as values.

What lives here: the program, and the reading of its lines. What the calls must look like is ``order``'s to say.
"""

import re
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"(?P<thread>\d+)\s+(?P<rest>.*)")
_WHOLE = re.compile(r"(?P<name>\w+)\((?P<text>.*)\)\s+= (?P<result>-?\d+).*")
_BEGUN = re.compile(r"(?P<name>\w+)\((?P<text>.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<text>.*)\)\s+= (?P<result>-?\d+).*")
_DESCRIPTOR = re.compile(r"\d+<(?P<path>[^>]*)>")
_QUOTED = re.compile(r'"(?P<path>(?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One system call, from the line where it began to the line where it ended."""

    thread: str
    name: str
    path: str  #: of its first descriptor, or the first path it names
    text: str  #: its arguments as strace prints them
    began: int
    ended: int
    result: int

    @property
    def worked(self) -> bool:
        """Tell whether it did what it was called for."""
        return self.result >= 0


def read_calls(lines: Iterable[str]) -> list[Call]:
    """Read strace's lines (``-f -y``); calls that never ended, signals and exits are left out."""
    calls: list[Call] = []
    open_calls: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        found = _LINE.match(line)
        if found is None:
            continue
        thread, rest = found["thread"], found["rest"]
        if begun := _BEGUN.fullmatch(rest):
            open_calls[thread] = (number, begun["text"])
        elif (resumed := _RESUMED.fullmatch(rest)) and thread in open_calls:
            began, text = open_calls.pop(thread)
            calls.append(_call(thread, resumed["name"], text + resumed["text"], began, number, resumed["result"]))
        elif whole := _WHOLE.fullmatch(rest):
            calls.append(_call(thread, whole["name"], whole["text"], number, number, whole["result"]))
    return calls


def _call(thread: str, name: str, text: str, began: int, ended: int, result: str) -> Call:
    pattern = _QUOTED if name in ("openat", "unlink", "rename", "mkdir") else _DESCRIPTOR
    found = pattern.search(text)
    return Call(
        thread=thread, name=name, path=found["path"] if found else "", text=text, began=began, ended=ended,
        result=int(result),
    )  # fmt: skip


@contextmanager
def attached(pid: int, out: Path, *, trace: str, more: Sequence[str] = (), text: int = 64) -> Iterator[None]:
    """Trace every thread of a process to a file; the process goes on untouched afterwards.

    ``text``: so many bytes of each argument are shown.
    """
    words = ["strace", "-f", "-y", "-s", str(text), "-o", str(out), "-e", f"trace={trace}", *more, "-p", str(pid)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        said = program.stderr.readline()  # "Process N attached", once every thread is
        try:
            assert "attached" in said, f"strace: {said}{program.stderr.read() if program.poll() is not None else ''}"
            yield
        finally:
            program.send_signal(signal.SIGINT)  # lets go of the process
            program.communicate(timeout=30)
