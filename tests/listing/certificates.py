"""A certificate authority of a test's own, and a server's certificate from it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """The CA's certificate as a file, and the TLS context of a server that it vouches for."""

    bundle: Path
    server: ssl.SSLContext


def authority(folder: Path, *hosts: str) -> Authority:
    """Make a CA, and a certificate for 127.0.0.1 and these names, in `folder`.

    The CA's certificate has none of the extensions that RFC 5280 asks for, as those of many a company's proxy.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = f"CA {x509.random_serial_number()}"  # of two CAs of one name only the first would be tried
    root = _certificate(name, name, ca_key, ca_key)
    addresses = [x509.IPAddress(ip_address("127.0.0.1"))]
    names = x509.SubjectAlternativeName([*map(x509.DNSName, hosts), *addresses])
    leaf = _certificate("server of a test", name, key, ca_key, names)
    bundle, chain, private = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    bundle.write_bytes(_pem(root))
    chain.write_bytes(_pem(leaf))
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, private)
    return Authority(bundle, server)


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signed_by: ec.EllipticCurvePrivateKey,
    names: x509.SubjectAlternativeName | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=False)
    )
    made = made.add_extension(names, critical=False) if names else made
    return made.sign(signed_by, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
