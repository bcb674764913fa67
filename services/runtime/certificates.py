"""A party's certificate, its key and whom it believes: a folder of ca.crt, tls.crt and tls.key, as cert-manager's.

The files may be replaced while a process runs: the next handshake takes the new ones. Until certificate and key belong
together, the ones before go on.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

AUTHORITY, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
_NAMES = (AUTHORITY, CERTIFICATE, KEY)


class CertificateError(ValueError):
    """A file is missing, or is not what its name says; the message names it."""


class Certificates:
    """The files of one folder, and whether they have changed."""

    def __init__(self, folder: Path | str) -> None:
        """CertificateError where they cannot be used."""
        self._folder = Path(folder)
        self._seen = self._look()
        self._check()

    def path(self, name: str) -> str:
        """Of `AUTHORITY`, `CERTIFICATE` or `KEY`."""
        return str(self._folder / name)

    def read(self) -> tuple[bytes, bytes, bytes]:
        """Authority, certificate and key, in PEM."""
        authority, certificate, key = ((self._folder / name).read_bytes() for name in _NAMES)
        return authority, certificate, key

    def renewed(self) -> bool:
        """Whether there are others since the last time that one asked, and they can be used."""
        try:
            now = self._look()
            if now == self._seen:
                return False
            self._check()
        except CertificateError as error:
            log.warning("certificates_not_renewed", folder=str(self._folder), error=str(error))
            return False
        self._seen = now
        log.info("certificates_renewed", folder=str(self._folder))
        return True

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        """What changes with the files: Kubernetes turns a link over to a new folder, others write the files anew."""
        try:
            found = [(self._folder / name).stat() for name in _NAMES]
        except OSError as error:
            raise CertificateError(f"{error.filename}: {error.strerror}") from error
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)

    def _check(self) -> None:
        """In a context of its own: one that has failed to take a pair holds half of it."""
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self)


def load(context: ssl.SSLContext, certificates: Certificates) -> None:
    """Show this certificate, and believe this authority. CertificateError: they cannot be used."""
    try:
        context.load_cert_chain(certificates.path(CERTIFICATE), certificates.path(KEY))
    except (ssl.SSLError, OSError) as error:
        raise CertificateError(
            f"{certificates.path(CERTIFICATE)} and {KEY}: no certificate and its key in PEM: {error}"
        ) from error
    try:
        context.load_verify_locations(certificates.path(AUTHORITY))
    except (ssl.SSLError, OSError) as error:
        raise CertificateError(f"{certificates.path(AUTHORITY)}: no certificates in PEM: {error}") from error


class ClientContext(ssl.SSLContext):
    """A client's context that takes new files before the handshake that comes after they were written.

    An authority that is no longer in the file is still believed until the process ends: OpenSSL takes more only.
    """

    certificates: Certificates

    @classmethod
    def of(cls, folder: Path | str) -> ClientContext:
        """CertificateError where the folder cannot be used."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.certificates = Certificates(folder)
        load(context, context.certificates)
        return context

    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:
        """As in the library; asyncio and uvloop call it for each connection."""
        if self.certificates.renewed():
            load(self, self.certificates)
        return super().wrap_bio(*given, **named)
