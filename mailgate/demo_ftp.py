"""The upload of the demo: a script with Python's ftplib, as a client would write it.

What lives here: its connection, and the client.
"""

import io
import ssl
from ftplib import FTP_TLS, Error
from pathlib import Path

_FOLDER = "/upload/conversions"
_USER, _PASSWORD = "acme", "only for the demo"
FTP_CONNECTION = f"""
[[credential]]
name = "acme-script"
account = "acme"
username = "{_USER}"
password = "{_PASSWORD}"
return_address = "batch@acme.example"

[[connection]]
name = "acme-uploads"
account = "acme"
data_type = "conversions"
method = "ftp"
pattern = "Conversions_202?_*.csv"
credential = "acme-script"
folder = "{_FOLDER}"
"""


def upload(port: int, certificate: Path, name: str, content: bytes) -> str:
    """Upload under a temporary name and rename; gives the last reply."""
    context = ssl.create_default_context(cafile=str(certificate))
    with FTP_TLS(context=context, timeout=30) as client:  # noqa: S321 - the door is the point, and it is under TLS
        try:
            client.connect("localhost", port)
            client.login(_USER, _PASSWORD)
            client.prot_p()
            client.cwd(_FOLDER)
            client.storbinary(f"STOR {name}.part", io.BytesIO(content))
            return client.rename(f"{name}.part", name)
        except Error as error:
            return str(error)
