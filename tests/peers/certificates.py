"""Certificates for TLS servers of tests, made on the spot: self-signed ones, and those of an authority."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOSTS = ("127.0.0.1", "localhost")
DAY = timedelta(days=1)


class CertificateFiles(NamedTuple):
    """A certificate and its key, in PEM."""

    cert: Path
    key: Path

    def client_context(self) -> ssl.SSLContext:
        """Trusts this certificate and no other."""
        return ssl.create_default_context(cafile=self.cert)

    def server_context(self) -> ssl.SSLContext:
        """Shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context


class Authority:
    """A certificate authority; who trusts `cert` trusts all that it issues."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(name, self._key, self._name, DAY)
        # RFC 5280, section 4.2.1.9: without this it could issue nothing.
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(), critical=True)
        subject = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = builder.add_extension(subject, critical=False)
        self.cert = folder / f"{name}.crt"
        self.cert.write_bytes(builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self, name: str = "server", hosts: Sequence[str] = HOSTS, valid_for: timedelta = DAY
    ) -> CertificateFiles:
        """A certificate for those names and addresses; one that has expired if `valid_for` is negative."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, key, self._name, valid_for).add_extension(_names(hosts), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        return _write(self._folder, name, builder.sign(self._key, SHA256()), key)


def write_certificate(folder: Path, name: str = "server", hosts: Sequence[str] = HOSTS) -> CertificateFiles:
    """Make a self-signed one; `name` is that of its files and its subject."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, _name(name), DAY).add_extension(_names(hosts), critical=False)
    return _write(folder, name, builder.sign(key, SHA256()), key)


def _builder(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, valid_for: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1) + min(valid_for, timedelta()))
        .not_valid_after(now + valid_for)
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(host) for host in hosts])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage() -> x509.KeyUsage:
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment"]
    names += ["key_agreement", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(key_cert_sign=True, **dict.fromkeys(names, False))


def _write(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> CertificateFiles:
    files = CertificateFiles(folder / f"{name}.crt", folder / f"{name}.key")
    files.cert.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files
