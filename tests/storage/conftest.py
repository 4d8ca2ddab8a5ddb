"""The fixtures of this folder."""

from tests.s3_fixtures import bucket, s3_server
from tests.storage.fixtures import store, template

__all__ = ["bucket", "s3_server", "store", "template"]
