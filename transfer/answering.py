"""The files of ours that a client reads: receipts, results and errors files, and the samples of its data types.

What lives here: their bytes, made from the ledger when they are read.
"""

import json

from imports.letters import receipt_text
from mailgate.settings import Settings
from models.connection import Rule
from storage.blobs import Blobs
from storage.descriptors import load_data_types
from storage.ledger.folder_answers import ERRORS, RECEIPT, AnswerInFolder
from storage.ledger.history import attempt_object
from transfer.reading import BytesReader, FileReader, open_blob, size_of
from transfer.view import NoSuchName


def answer_bytes(answer: AnswerInFolder, contact: str) -> bytes:
    """Render a receipt or a result."""
    if answer.kind == RECEIPT or answer.attempt is None:
        return receipt_text(answer.delivery, answer.upload, answer.connection, contact).encode()
    name, data_type = answer.connection.name, answer.delivery.data_type
    result = attempt_object(answer.upload, answer.attempt, name, data_type, contact)
    return (json.dumps(result, ensure_ascii=False, indent=2) + "\n").encode()


def open_answer(answer: AnswerInFolder, blobs: Blobs, contact: str) -> BytesReader | FileReader:
    """Open an answer for reading; raises NoSuchName for an errors file that is no longer kept."""
    if answer.kind != ERRORS:
        return BytesReader(answer_bytes(answer, contact))
    blob = answer.attempt.errors_blob if answer.attempt else None
    if blob is None:
        raise NoSuchName(f"{answer.name} is no longer kept")
    return open_blob(blobs, blob)


def answer_size(answer: AnswerInFolder, blobs: Blobs, contact: str) -> int:
    """Give the bytes of an answer; none for an errors file that is no longer kept."""
    if answer.kind != ERRORS:
        return len(answer_bytes(answer, contact))
    blob = answer.attempt.errors_blob if answer.attempt else None
    if blob is not None and answer.attempt is not None and answer.attempt.errors_bytes is not None:
        return answer.attempt.errors_bytes  # a folder is listed without asking an object store for each file
    try:
        with blobs.open(blob or "") as source:
            return size_of(source)
    except FileNotFoundError:
        return 0


def sample_files(rules: tuple[Rule, ...], settings: Settings) -> dict[str, bytes]:
    """Give the sample files of the data types of some connections, by name."""
    from parsing.samples import sample_csv, sample_jsonl  # loads the parser's libraries: only where somebody asks

    files: dict[str, bytes] = {}
    types = load_data_types(settings.data_types_dir, settings.enums)
    for name in sorted({rule.data_type for rule in rules} & types.keys()):
        data_type = types[name]
        start = data_type.prefixes[0] if data_type.prefixes else f"{name}_"
        files[f"{start}sample.csv"] = sample_csv(data_type).encode()
        if data_type.layout != "list":
            files[f"{start}sample.jsonl"] = sample_jsonl(data_type).encode()
    return files
