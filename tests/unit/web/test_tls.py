"""Certificate files: used, renewed, broken."""

import os
import socket
import ssl
from pathlib import Path
from threading import Thread

import pytest
import structlog
from tests.peers.certificates import CertificateFiles, write_certificate

from whipway.web.tls import TlsError, TlsFiles


def shown_by(context: ssl.SSLContext) -> bytes:
    """The certificate that a client of this context is shown, in DER."""
    here, there = socket.socketpair()
    client = ssl.create_default_context()
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    here.settimeout(5)
    there.settimeout(5)

    def serve() -> None:
        with context.wrap_socket(there, server_side=True):
            pass

    server = Thread(target=serve)
    server.start()
    with client.wrap_socket(here) as wrapped:
        certificate = wrapped.getpeercert(binary_form=True)
    server.join()
    assert certificate is not None
    return certificate


def der(files: CertificateFiles) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.cert.read_text())


def replace(old: CertificateFiles, new: CertificateFiles) -> None:
    os.replace(new.key, old.key)
    os.replace(new.cert, old.cert)


def test_files_become_a_context(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    assert shown_by(TlsFiles(*files).context) == der(files)


def test_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    tls = TlsFiles(*files)
    assert not tls.refresh()
    replace(files, write_certificate(tmp_path, "renewed"))
    with structlog.testing.capture_logs() as logs:
        assert tls.refresh()
        assert not tls.refresh()
    assert shown_by(tls.context) == der(files)
    assert [entry["event"] for entry in logs] == ["certificate renewed"]


@pytest.mark.parametrize("way", ["key missing", "key of another", "no PEM"])
def test_files_that_do_not_fit_change_nothing(tmp_path: Path, way: str) -> None:
    files = write_certificate(tmp_path)
    tls, before = TlsFiles(*files), der(files)
    match way:
        case "key missing":
            files.key.unlink()
        case "key of another":
            os.replace(write_certificate(tmp_path, "other").key, files.key)
        case _:
            files.cert.write_text("nothing\n")
    with structlog.testing.capture_logs() as logs:
        assert not tls.refresh()
        assert not tls.refresh()  # Said once.
    assert shown_by(tls.context) == before
    assert [entry["event"] for entry in logs] == ["certificate not renewed"]
    replace(files, write_certificate(tmp_path, "renewed"))
    assert tls.refresh()
    assert shown_by(tls.context) == der(files)


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    other = write_certificate(tmp_path, "other")
    missing = tmp_path / "missing"
    for cert, key, words in (
        (missing, files.key, f"tls.cert: {missing} cannot be read: No such file"),
        (files.cert, missing, f"tls.key: {missing} cannot be read: No such file"),
        (files.cert, other.key, f"tls.cert: {files.cert} and {other.key} do not fit"),
        (files.key, files.key, "do not fit"),
    ):
        with pytest.raises(TlsError) as caught:
            TlsFiles(cert, key)
        assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_key_with_a_password_asks_nobody(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    files = write_certificate(tmp_path)
    key = load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    )
    with pytest.raises(TlsError):
        TlsFiles(*files)
