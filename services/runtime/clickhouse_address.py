"""What ClickHouse's client must be told of a server's URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit


def client_address(url: str) -> dict[str, Any]:
    """Arguments for clickhouse_connect.get_client, which looks at a URL's port and not at its scheme.

    Without this https://host:9440 would be spoken to in the clear, password and all. ValueError: another scheme.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise ValueError(f"the URL of ClickHouse begins with {scheme or 'nothing'}://: must be http:// or https://")
    return {"dsn": url, "interface": scheme}
