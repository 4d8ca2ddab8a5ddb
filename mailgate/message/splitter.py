"""One pass over a mail's bytes: its header facts and the leaves of its MIME tree, as offsets.

What lives here: the walk along the boundaries. It decodes nothing but names and headers, keeps no body in memory, and
never raises for what a mail holds: every problem is a fault. What counts as an attachment is ``matching``'s matter.
"""

from dataclasses import dataclass, replace

from mailgate.message.boundaries import BoundarySearch, Delimiter, TooManyLookalikes
from mailgate.message.entity import FORWARDED, IDENTITY_ENCODINGS, Entity, read_entity
from mailgate.message.fields import read_fields
from mailgate.message.headers import header_facts
from mailgate.message.limits import DEFAULT_LIMITS, Limits
from mailgate.message.references import referenced_ids
from mailgate.message.source import Source, Window
from models.codes import Code
from models.faults import Fault
from models.message import Headers, Message, Part


def split(source: Source, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Split one mail into header facts and leaves; its problems are ``Message.fault`` and ``Part.fault``."""
    return _Walk(source, limits, _Budget(parts=limits.parts, header=limits.header_total)).message()


@dataclass(slots=True)
class _Budget:
    """What is left for the mail and all mails forwarded in it."""

    parts: int
    header: int


@dataclass(kw_only=True, slots=True)
class _Multipart:
    """A multipart whose end has not been reached."""

    entity: Entity
    path: str  # with the dot that its children need
    children: int = 0
    closed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Leaf:
    """A leaf whose end has not been found."""

    entity: Entity
    path: str
    start: int
    position: int


class _Exceeded(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(code=Code.MESSAGE_LIMIT, message=message)


class _Walk:
    """The walk over one mail, or over one forwarded in it (then ``start`` and ``end`` are its range)."""

    def __init__(
        self,
        source: Source,
        limits: Limits,
        budget: _Budget,
        *,
        start: int = 0,
        end: int = -1,
        prefix: str = "",
        depth: int = 0,
    ) -> None:
        self.source = source
        self.limits = limits
        self.budget = budget
        self.start = start
        self.end = source.size if end < 0 else end
        self.prefix = prefix
        self.depth = depth
        self.window = Window(source, end=self.end, run=limits.run)
        self.search = BoundarySearch(self.window, start=start, lookalikes=limits.lookalikes)
        self.stack: list[_Multipart] = []
        self.leaf: _Leaf | None = None
        self.opened_at = -1  # where the latest part began
        self.parts: list[Part] = []
        self.fault: Fault | None = None
        self.headers = Headers()
        self.header_end = start

    def message(self) -> Message:
        """Walk to the end and return what was found."""
        try:
            self._walk()
        except _Exceeded as limit:
            self._fail(limit.fault)
            self._end_leaf(self.end, last=True)
        except TooManyLookalikes:
            self._note_doubt()
            self._fail(Fault(code=Code.MESSAGE_LIMIT, message="too many places look like a boundary"))
            self._end_leaf(self.end, last=True)
        self._fill_in()
        return Message(
            headers=self.headers,
            header_end=self.header_end,
            parts=tuple(self.parts),
            fault=self.fault,
            size=self.end - self.start,
        )

    def _walk(self) -> None:
        position = self._open(self.start, None)
        while self.stack:
            delimiter = self.search.next(position, self.end)
            self._note_doubt()
            if delimiter is None:
                break
            position = self._cross(delimiter)
        self._end_leaf(self.end, last=True)
        self._unwind(0)

    def _cross(self, delimiter: Delimiter) -> int:
        """Act on a delimiter and return where the search goes on."""
        if delimiter.start == self.opened_at:
            # The standard library drops the second line, with a part that it may close.
            self._fail(_ambiguous("a boundary stands twice, one right behind the other"))
        end = self._before_line_end(delimiter.start)
        self._end_leaf(end, last=delimiter.closing or delimiter.level < len(self.stack) - 1)
        self._unwind(delimiter.level + 1)
        multipart = self.stack[-1]
        if delimiter.closing:
            if not multipart.children:
                self._fail(_damaged("a multipart is closed before its first part"))
            multipart.closed = True
        elif multipart.closed:
            self._fail(_ambiguous("a boundary follows behind the closing one"))
        else:
            self.opened_at = delimiter.end
            return self._open(delimiter.end, multipart)
        return delimiter.end

    def _unwind(self, level: int) -> None:
        """Leave the multiparts inside ``level``; each must have had its closing boundary."""
        while len(self.stack) > level:
            if not self.stack.pop().closed:
                self._fail(_damaged("the closing boundary of a multipart is missing"))
            self.search.pop()

    def _open(self, position: int, parent: _Multipart | None) -> int:
        """Read the header block at ``position``, begin its multipart or leaf, and return where its body begins."""
        self.budget.parts -= 1
        if self.budget.parts < 0:
            raise _Exceeded(f"the mail has more than {self.limits.parts} parts")
        block, body = self._block(position)
        fields = read_fields(block, self.limits)
        digest = parent is not None and parent.entity.content_type == "multipart/digest"
        entity = read_entity(
            fields, default="message/rfc822" if digest else "text/plain", boundary_limit=self.limits.boundary
        )
        self._fail(entity.fault)
        position_in_parent = 0
        if parent is None:
            self.headers = header_facts(fields, entity.content_type)
            self.header_end = body
            path = self.prefix
        else:
            position_in_parent = parent.children
            parent.children += 1
            path = f"{parent.path}{parent.children}"
        if entity.multipart:
            self._enter(entity, path + "." if parent is not None else path)
        else:
            path = path if parent is not None else path + "1"
            self.leaf = _Leaf(entity=entity, path=path, start=body, position=position_in_parent)
        return body

    def _enter(self, entity: Entity, path: str) -> None:
        if self.depth + len(self.stack) >= self.limits.depth:
            raise _Exceeded(f"the parts of the mail are nested more than {self.limits.depth} deep")
        self.stack.append(_Multipart(entity=entity, path=path))
        if not self.search.push(entity.boundary):
            self._fail(_ambiguous("two multiparts, one inside the other, have the same boundary"))

    def _block(self, position: int) -> tuple[bytes, int]:
        """Return the header block at ``position`` and where its body begins."""
        limit = self.limits.header_block
        at = self.window.load(position, limit + 4)
        data = self.window.data
        if data.startswith((b"\n", b"\r\n"), at):
            return b"", position + (1 if data[at] == 10 else 2)
        crlf = data.find(b"\n\r\n", at, at + limit + 3)
        bare = data.find(b"\n\n", at, at + limit + 2 if crlf < 0 else crlf + 1)
        stop = bare if bare >= 0 else crlf
        length = min(limit if stop < 0 else stop + 1 - at, self.end - position)
        body = position + length + (0 if stop < 0 else 1 if bare >= 0 else 2)
        block = data[at : at + length]
        delimiter = self.search.next(position, position + length) if b"--" in block else None
        if delimiter is not None:  # a part without a blank line ends at the boundary
            block = block[: delimiter.start - position]
            body = delimiter.start
        elif stop < 0 and position + length < self.end:
            raise _Exceeded(f"a header is longer than {limit} bytes")
        self.budget.header -= len(block)
        if self.budget.header < 0:
            raise _Exceeded(f"the headers of the parts are longer than {self.limits.header_total} bytes")
        return block, body

    def _before_line_end(self, position: int) -> int:
        """Return the offset before the line end that belongs to the boundary at ``position``."""
        if self.leaf is None or position <= self.leaf.start:
            return position
        if position - 1 > self.leaf.start and self.window.byte_before(position - 1) == b"\r":
            return position - 2
        return position - 1

    def _end_leaf(self, end: int, *, last: bool) -> None:
        leaf, self.leaf = self.leaf, None
        if leaf is None:
            return
        entity = leaf.entity
        self.parts.append(
            Part(
                number=len(self.parts) + 1,
                path=leaf.path,
                content_type=entity.content_type,
                charset=entity.charset,
                disposition=entity.disposition,
                names=entity.names,
                content_id=entity.content_id,
                ancestors=tuple(m.entity.content_type for m in self.stack),
                position=leaf.position,
                last=last,
                transfer_encoding=entity.transfer_encoding,
                start=leaf.start,
                end=end,
                fault=entity.damage,
            )
        )

    def _fill_in(self) -> None:
        """Add what needs all leaves at hand: forwarded mails and the references of the HTML."""
        if any(part.content_id for part in self.parts):
            shown = referenced_ids(self.source, self.parts, self.limits.html)
            self.parts = [replace(p, referenced=True) if p.content_id in shown else p for p in self.parts]
        if any(part.content_type in FORWARDED for part in self.parts):
            self.parts = [replace(p, inner=self._inner(p)) if p.content_type in FORWARDED else p for p in self.parts]

    def _inner(self, part: Part) -> Message:
        depth = self.depth + len(part.ancestors) + 1
        if depth > self.limits.depth:
            return Message(fault=_Exceeded(f"mails are forwarded more than {self.limits.depth} deep").fault)
        if part.transfer_encoding not in IDENTITY_ENCODINGS:
            return Message(fault=_ambiguous("a forwarded mail is encoded (RFC 2046 section 5.2.1)"))
        return _Walk(
            self.source,
            self.limits,
            self.budget,
            start=part.start,
            end=part.end,
            prefix=part.path + ".",
            depth=depth,
        ).message()

    def _note_doubt(self) -> None:
        if self.search.doubtful:
            self._fail(_ambiguous("a line looks like a boundary and is none"))

    def _fail(self, fault: Fault | None) -> None:
        """Keep the first fault: what comes after it may follow from it."""
        self.fault = self.fault or fault


def _ambiguous(message: str) -> Fault:
    return Fault(code=Code.MESSAGE_AMBIGUOUS, message=message)


def _damaged(message: str) -> Fault:
    return Fault(code=Code.ATTACHMENT_DAMAGED, message=message)
