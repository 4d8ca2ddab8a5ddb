"""Links with which a file can be downloaded without a login: AWS Signature Version 4 in the query.

What lives here: the signature, a pure function. obstore signs links too, but none that names the downloaded file.
Source: AWS, "Authenticating requests: using query parameters".
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

_LONGEST = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Keys:
    """What a link is signed with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str


def presigned(url: str, keys: Keys, seconds: int, file_name: str, now: datetime) -> str:
    """Sign a GET of an object's URL; the browser stores it under ``file_name``. ValueError beyond a week."""
    if not 0 < seconds <= _LONGEST:
        raise ValueError("a link lasts from a second to a week")
    parts = urlsplit(url)
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{keys.region}/s3/aws4_request"
    path = quote(parts.path, safe="/~")
    query = _query({
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{keys.access_key_id}/{scope}",
        "X-Amz-Date": moment, "X-Amz-Expires": str(seconds), "X-Amz-SignedHeaders": "host",
        "response-content-disposition": disposition(file_name),
    })  # fmt: skip
    request = "\n".join(["GET", path, query, f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD"])
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret_access_key}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"{parts.scheme}://{parts.netloc}{path}?{query}&X-Amz-Signature={signature}"


def disposition(file_name: str) -> str:
    """Write the Content-Disposition of a download (RFC 6266, RFC 8187): no quote, line end or path goes through."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in file_name) or "_"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def _query(values: dict[str, str]) -> str:
    return "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in sorted(values.items()))
