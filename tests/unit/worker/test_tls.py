"""Handshakes are made between two SSL objects in memory; test_sink_connection does it on sockets."""

import ssl
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.peers.certificates import Authority, CertificateFiles, write_certificate

from whipway.worker.tls import TlsContexts, explain_tls

HOST = "rtmp.example"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that this machine trusts."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    return authority


def shake_hands(client: ssl.SSLContext, files: CertificateFiles, host: str) -> ssl.SSLObject:
    """The client's end after a handshake; raises ssl.SSLError as it does."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = files.server_context().wrap_bio(to_server, to_client, server_side=True)
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    ends = [ours, server]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    return ours


@pytest.mark.parametrize(
    ("names", "host"),
    [
        ([HOST], HOST),
        (["*.rtmp.example"], "a.rtmp.example"),
        (["127.0.0.1"], "127.0.0.1"),
        (["::1"], "::1"),
        (["rtmp_1.example"], "rtmp_1.example"),
    ],
)
def test_a_good_certificate(authority: Authority, names: list[str], host: str) -> None:
    ours = shake_hands(TlsContexts().get(host), authority.issue(hosts=names), host)
    assert ours.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("names", "host", "words"),
    [
        (["other.example"], HOST, "Hostname mismatch, certificate is not valid for 'rtmp.example'"),
        (["*.rtmp.example"], HOST, "Hostname mismatch, certificate is not valid for 'rtmp.example'"),
        ([HOST], "127.0.0.1", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        (["127.0.0.1"], HOST, "Hostname mismatch, certificate is not valid for 'rtmp.example'"),
    ],
)
def test_a_certificate_of_somebody_else(
    authority: Authority, names: list[str], host: str, words: str
) -> None:
    files = authority.issue(hosts=names)
    assert refusal(TlsContexts(), files, host) == f"its certificate is not accepted: {words}"
    shake_hands(TlsContexts(insecure=[host]).get(host), files, host)


def refusal(contexts: TlsContexts, files: CertificateFiles, host: str = HOST) -> str:
    with pytest.raises(ssl.SSLError) as caught:
        shake_hands(contexts.get(host), files, host)
    return explain_tls(caught.value)


@pytest.mark.parametrize("hosts", [["other.example"], ["127.0.0.1"], []], ids=["name", "address", "none"])
def test_a_name_that_stands_in_the_subject_alone(authority: Authority, hosts: list[str]) -> None:
    files = authority.issue(HOST, hosts=hosts)
    assert "Hostname mismatch" in refusal(TlsContexts(), files)


def test_an_expired_certificate(authority: Authority) -> None:
    files = authority.issue(hosts=[HOST], valid_for=timedelta(minutes=-5))
    assert refusal(TlsContexts(), files) == "its certificate is not accepted: certificate has expired"
    shake_hands(TlsContexts(insecure=[HOST]).get(HOST), files, HOST)


def test_a_certificate_of_nobody(tmp_path: Path) -> None:
    files = write_certificate(tmp_path, hosts=[HOST])
    assert refusal(TlsContexts(), files) == "its certificate is not accepted: self-signed certificate"
    shake_hands(TlsContexts(insecure=[HOST]).get(HOST), files, HOST)


def test_a_certificate_of_an_unknown_authority(tmp_path: Path) -> None:
    files = Authority(tmp_path).issue(hosts=[HOST])
    words = "its certificate is not accepted: unable to get local issuer certificate"
    assert refusal(TlsContexts(), files) == words


def test_old_versions_of_tls_are_not_spoken() -> None:
    assert TlsContexts().get(HOST).minimum_version >= ssl.TLSVersion.TLSv1_2


def test_contexts_are_made_once(authority: Authority) -> None:
    contexts = TlsContexts(["test.example", "*.lab"])
    assert contexts.get(HOST) is contexts.get("another.example")
    assert contexts.get("test.example") is contexts.get("a.lab")
    assert contexts.get(HOST) is not contexts.get("a.lab")


def test_authorities_come_from_certifi_too(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere = TlsContexts().get(HOST).cert_store_stats()["x509_ca"]
    monkeypatch.setitem(sys.modules, "certifi", None)  # As if it were not installed.
    assert TlsContexts().get(HOST).cert_store_stats()["x509_ca"] < everywhere


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("test.example", "test.example", True),
        ("Test.Example.", "test.example", True),
        ("test.example", "a.test.example", False),
        ("test.example", "atest.example", False),
        ("*.example", "test.example", True),
        ("*.example", "a.test.example", True),
        ("*.example", "example", False),
        ("*.test.example", "example", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("*.0.0.1", "127.0.0.1", False),
        ("::1", "::1", True),
        ("0:0:0::1", "::1", True),
        ("::1", "0:0:0::1", True),
        ("localhost", "localhost", True),
    ],
)
def test_patterns(pattern: str, host: str, matches: bool) -> None:
    with capture_logs() as logs:
        context = TlsContexts([pattern]).get(host)
    assert (context.verify_mode is ssl.CERT_NONE) is matches
    assert context.check_hostname is not matches
    assert bool(logs) is matches


@pytest.mark.parametrize(
    "pattern", ["", "*", "*.", "a.*", "*a.example", "a b", "[::1]", "10.0.0.0/8", "ä.example"]
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is no host name or address, nor \*\. before a name"):
        TlsContexts([pattern])


def test_one_warning_for_each_pattern() -> None:
    contexts = TlsContexts(["*.lab", "test.example"])
    with capture_logs() as logs:
        for host in ("a.lab", "b.lab", "test.example", "a.lab", "test.example", HOST):
            contexts.get(host)
    assert [entry["hosts"] for entry in logs] == ["*.lab", "test.example"]
    assert {entry["log_level"] for entry in logs} == {"warning"}


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x03" + bytes(1536), b"nothing"])
def test_an_answer_that_is_no_tls(answer: bytes) -> None:
    bio = ssl.MemoryBIO()
    ours = TlsContexts([HOST]).get(HOST).wrap_bio(bio, ssl.MemoryBIO(), server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        ours.do_handshake()
    bio.write(answer)
    with pytest.raises(ssl.SSLError) as caught:
        ours.do_handshake()
    assert explain_tls(caught.value) == "it does not speak TLS there"


def test_what_a_server_does_not_like(authority: Authority) -> None:
    context = TlsContexts().get(HOST)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = authority.issue(hosts=[HOST]).server_context()
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(to_client, to_server, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        ours.do_handshake()
    with pytest.raises(ssl.SSLError):
        server.wrap_bio(to_server, to_client, server_side=True).do_handshake()
    with pytest.raises(ssl.SSLError) as caught:
        ours.do_handshake()
    assert explain_tls(caught.value) == "tlsv1 alert protocol version"


def test_an_error_without_words() -> None:
    assert explain_tls(ssl.SSLError("?")) == "the handshake failed"
