"""The fixtures of this folder."""

from tests.s3_fixtures import s3_server

__all__ = ["s3_server"]
