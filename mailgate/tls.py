"""A TLS certificate for local use, so that STARTTLS works from the first minute.

What lives here: making one. Real sites name their own in ``[smtp] certificate`` and ``key``.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_YEARS = timedelta(days=3650)


def write_local_certificate(certificate: Path, key: Path, domain: str) -> None:
    """Write a self-signed certificate for a domain and this machine, and its key (mode 600)."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(domain), x509.DNSName("localhost")]
    names.extend(x509.IPAddress(ip_address(address)) for address in ("127.0.0.1", "::1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.parent.mkdir(parents=True, exist_ok=True)
    key.touch(mode=0o600)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def certificate_ends(certificate: Path) -> datetime:
    """Tell until when a certificate is valid; ValueError when it is none."""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
