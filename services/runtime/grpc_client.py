"""Channels to the gRPC services: in the clear, or by TLS with a certificate where URBAN_GRPC_TLS names its folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import grpc

from services.runtime.certificates import Certificates

VARIABLE = "URBAN_GRPC_TLS"
Options = Sequence[tuple[str, Any]]


def open_channel(address: str, options: Options = ()) -> grpc.Channel:
    """A channel to host:port; the host is one that the server's certificate names. Certificates are read now."""
    credentials = _credentials()
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def open_aio_channel(address: str, options: Options = ()) -> grpc.aio.Channel:
    """The same for asyncio."""
    credentials = _credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


def _credentials() -> grpc.ChannelCredentials | None:
    folder = os.environ.get(VARIABLE, "")
    if not folder:
        return None
    authority, certificate, key = Certificates(folder).read()
    return grpc.ssl_channel_credentials(authority, key, certificate)
