"""A URL of ClickHouse means what it says: with https nothing goes out in the clear, whatever the port."""

from __future__ import annotations

import socket
import threading

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from services.runtime.clickhouse_address import client_address


@pytest.mark.parametrize(("scheme", "first"), [("http", b"POST"), ("https", b"\x16\x03")])
def test_what_is_said_first_is_what_the_url_promises(scheme: str, first: bytes):
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(len(first)))

        listening = threading.Thread(target=listen)
        listening.start()
        url = f"{scheme}://urban:secret@127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(ClickHouseError):
            clickhouse_connect.get_client(**client_address(url), connect_timeout=2, send_receive_timeout=2)
        listening.join()
    assert heard == [first]


def test_another_scheme_is_refused_and_nothing_of_the_url_is_told():
    with pytest.raises(ValueError, match="begins with clickhouse://: must be http") as refused:
        client_address("clickhouse://urban:secret@host:9000")
    assert "secret" not in str(refused.value)
