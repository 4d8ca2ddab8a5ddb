"""The one parser: encoding, structure, values, checks and the report of a file, as a function of its bytes."""

from parsing.options import Options
from parsing.parser import parse
from parsing.report import Report
from parsing.samples import sample_csv, sample_jsonl

__all__ = ["Options", "Report", "parse", "sample_csv", "sample_jsonl"]
