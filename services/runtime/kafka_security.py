"""How the clients of Kafka in this process come to it: in the clear, or by TLS with a certificate that names them.

Once for the process, at its start, as for its logs. Only who talks to another city's Kafka says how by itself.
"""

from __future__ import annotations

from typing import Any

from services.runtime.certificates import ClientContext

_context: ClientContext | None = None


def secure_kafka(folder: str) -> None:
    """From now on with the certificate of this folder; empty: in the clear. CertificateError: it cannot be used."""
    global _context
    _context = ClientContext.of(folder) if folder else None


def client_security() -> dict[str, Any]:
    """What every client of aiokafka is told besides the servers' addresses."""
    return _words(_context)


def security_of(folder: str) -> dict[str, Any]:
    """The same for another Kafka than ours, with the certificate of this folder, which CertificateError is about."""
    return _words(ClientContext.of(folder) if folder else None)


def _words(context: ClientContext | None) -> dict[str, Any]:
    return {} if context is None else {"security_protocol": "SSL", "ssl_context": context}


def client_context() -> ClientContext | None:
    """The same for those who ask for it in their own words; None: in the clear."""
    return _context
