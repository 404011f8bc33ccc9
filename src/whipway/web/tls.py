"""The certificate of an HTTPS server, from files that somebody renews now and then.

`TlsFiles.context` stays the same object for the life of the server: a renewed certificate is loaded into it,
and connections made from then on get the new one. Files that do not fit together, as in the middle of a
renewal, change nothing.
"""

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger("tls")


class TlsError(Exception):
    """The files cannot be used. The message is one line and names the configuration key."""


class TlsFiles:
    """A certificate chain and its private key, in PEM. Raises TlsError."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert = cert
        self._key = key
        self._seen = self._stamp()
        self.context = self._load()

    def refresh(self) -> bool:
        """Take up renewed files; tell whether there were any."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            # Tried on a context of its own: a chain without its key would leave the one in use without any.
            self._load()
            self.context.load_cert_chain(self._cert, self._key, _no_password)
        except (TlsError, OSError) as error:
            log.warning("certificate not renewed", detail=str(error))
            return False
        log.info("certificate renewed")
        return True

    def _load(self) -> ssl.SSLContext:
        for name, path in (("cert", self._cert), ("key", self._key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise TlsError(f"tls.{name}: {path} cannot be read: {error.strerror}") from None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # What the protocol behind speaks; without it some clients propose HTTP/2 and wait.
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key, _no_password)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or "not a certificate chain and its key in PEM"
            raise TlsError(f"tls.cert: {self._cert} and {self._key} do not fit: {reason}") from None
        return context

    def _stamp(self) -> tuple[int, ...]:
        stamps: list[int] = []
        for path in (self._cert, self._key):
            try:
                status = path.stat()
            except OSError:
                stamps.append(0)
            else:
                stamps += (status.st_mtime_ns, status.st_ino, status.st_size)
        return tuple(stamps)


def _no_password() -> str:
    """OpenSSL would ask the terminal for one."""
    return ""
