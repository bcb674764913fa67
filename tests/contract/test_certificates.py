"""Who shows which certificate, and who is let in: by real handshakes on loopback, while files change."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.ports import free_port
from services.runtime.certificates import AUTHORITY, CERTIFICATE, KEY, CertificateError, Certificates, ClientContext
from services.runtime.grpc_client import VARIABLE, open_aio_channel
from services.runtime.grpc_server import LIVE, GrpcServer
from services.runtime.healthcheck import ask
from tests.certificates import write_folder

HOST = "127.0.0.1"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
PATIENCE_S = 20.0


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("name", [AUTHORITY, CERTIFICATE, KEY])
def test_a_file_that_is_missing_is_named(authority: trustme.CA, tmp_path: Path, name: str):
    folder = write_folder(tmp_path / "us", authority, "us")
    (folder / name).unlink()
    with pytest.raises(CertificateError, match=f"{name}: No such file"):
        Certificates(folder)


@pytest.mark.parametrize("name", [AUTHORITY, CERTIFICATE, KEY])
def test_a_file_that_is_something_else_is_named(authority: trustme.CA, tmp_path: Path, name: str):
    folder = write_folder(tmp_path / "us", authority, "us")
    (folder / name).write_text("no certificate")
    with pytest.raises(
        CertificateError, match="ca.crt: no certificates" if name == AUTHORITY else "tls.crt and tls.key"
    ):
        Certificates(folder)


def test_a_key_of_another_certificate_is_refused(authority: trustme.CA, tmp_path: Path):
    folder = write_folder(tmp_path / "us", authority, "us")
    other = write_folder(tmp_path / "other", authority, "other")
    (folder / KEY).write_bytes((other / KEY).read_bytes())
    with pytest.raises(CertificateError, match="no certificate and its key"):
        Certificates(folder)


@asynccontextmanager
async def _guests(authority: trustme.CA) -> AsyncIterator[tuple[int, list[str]]]:
    """A server by TLS that wants a certificate: its port, and the names of those who came."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    names: list[str] = []

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = dict(part[0] for part in writer.get_extra_info("peercert")["subject"])
        names.append(subject["commonName"])
        writer.write(b"welcome\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, HOST, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], names


async def _visit(port: int, context: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context)
    assert await reader.readline() == b"welcome\n"
    writer.close()


async def test_a_client_shows_new_files_at_its_next_connection(authority: trustme.CA, tmp_path: Path):
    folder = write_folder(tmp_path / "us", authority, "before")
    context = ClientContext.of(folder)
    async with _guests(authority) as (port, names):
        await _visit(port, context)
        write_folder(folder, authority, "after")
        await _visit(port, context)
        await _visit(port, context)
    assert names == ["before", "after", "after"]


async def test_a_folder_that_a_link_is_turned_over_to_holds_as_kubernetes_does_it(
    authority: trustme.CA, tmp_path: Path
):
    write_folder(tmp_path / "1", authority, "before")
    write_folder(tmp_path / "2", authority, "after")
    (tmp_path / "data").symlink_to("1")
    (tmp_path / "us").mkdir()
    for name in (AUTHORITY, CERTIFICATE, KEY):
        (tmp_path / "us" / name).symlink_to(f"../data/{name}")
    context = ClientContext.of(tmp_path / "us")
    async with _guests(authority) as (port, names):
        await _visit(port, context)
        (tmp_path / "draft").symlink_to("2")
        (tmp_path / "draft").replace(tmp_path / "data")
        await _visit(port, context)
    assert names == ["before", "after"]


async def test_half_of_a_pair_is_passed_over_until_the_other_half_is_there(authority: trustme.CA, tmp_path: Path):
    folder = write_folder(tmp_path / "us", authority, "before")
    new = write_folder(tmp_path / "new", authority, "after")
    context = ClientContext.of(folder)
    async with _guests(authority) as (port, names):
        (folder / CERTIFICATE).write_bytes((new / CERTIFICATE).read_bytes())
        await _visit(port, context)
        (folder / KEY).write_bytes((new / KEY).read_bytes())
        await _visit(port, context)
    assert names == ["before", "after"]


@asynccontextmanager
async def _serving(folder: Path, **given: Any) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(HOST, 0, [], certificates=str(folder), **given)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0.0)


async def _health(channel: grpc.aio.Channel) -> Any:
    async with channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=LIVE), timeout=PATIENCE_S
        )
    return answer.status


async def test_a_caller_with_a_certificate_of_the_authority_is_served(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, str(write_folder(tmp_path / "caller", authority, "caller")))
    async with _serving(write_folder(tmp_path / "api", authority, "api", HOST)) as server:
        assert await _health(open_aio_channel(f"{HOST}:{server.port}")) == health_pb2.HealthCheckResponse.SERVING
        assert await asyncio.to_thread(ask, f"{HOST}:{server.port}") == ""


@pytest.mark.parametrize("who", ["in the clear", "of nobody", "of a stranger"])
async def test_nobody_else_is(authority: trustme.CA, tmp_path: Path, who: str):
    stranger = trustme.CA().issue_cert("caller.invalid")
    key, certificate = stranger.private_key_pem.bytes(), stranger.cert_chain_pems[0].bytes()
    credentials = {
        "of nobody": grpc.ssl_channel_credentials(authority.cert_pem.bytes()),
        "of a stranger": grpc.ssl_channel_credentials(authority.cert_pem.bytes(), key, certificate),
    }
    async with _serving(write_folder(tmp_path / "api", authority, "api", HOST)) as server:
        address = f"{HOST}:{server.port}"
        insecure = who == "in the clear"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _health(
                grpc.aio.insecure_channel(address) if insecure else grpc.aio.secure_channel(address, credentials[who])
            )
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_server_that_nobody_vouches_for_is_told_nothing(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, str(write_folder(tmp_path / "caller", authority, "caller")))
    async with _serving(write_folder(tmp_path / "api", trustme.CA(), "api", HOST)) as server:
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await _health(open_aio_channel(f"{HOST}:{server.port}"))


async def test_a_server_shows_new_files_and_goes_on_with_the_calls_that_it_has(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Both sides move to another authority: who came before stays, who comes after needs the new one."""
    before = write_folder(tmp_path / "before", authority, "caller")
    newer = trustme.CA()
    after = write_folder(tmp_path / "after", newer, "caller")
    folder = write_folder(tmp_path / "api", authority, "api", HOST)
    async with _serving(folder) as server:
        address = f"{HOST}:{server.port}"
        monkeypatch.setenv(VARIABLE, str(before))
        async with open_aio_channel(address) as open_since:
            watch = health_pb2_grpc.HealthStub(open_since).Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            write_folder(folder, newer, "api", HOST)
            monkeypatch.setenv(VARIABLE, str(after))
            assert await _health(open_aio_channel(address)) == health_pb2.HealthCheckResponse.SERVING
            monkeypatch.setenv(VARIABLE, str(before))
            with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
                await _health(open_aio_channel(address))
            await server.mark_ready(False)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_probes_are_answered_in_the_clear_and_nothing_else_is(authority: trustme.CA, tmp_path: Path):
    port = free_port(0, set())
    async with _serving(write_folder(tmp_path / "api", authority, "api", HOST), probe_port=port) as server:
        address = f"{HOST}:{port}"
        assert await asyncio.to_thread(ask, address, in_the_clear=True) == ""
        await server.mark_ready(False)
        assert "NOT_SERVING" in await asyncio.to_thread(ask, address, in_the_clear=True)
        async with grpc.aio.insecure_channel(address) as channel:
            reflection = channel.stream_stream(REFLECTION, bytes, bytes)
            call = reflection(iter([b""]), timeout=PATIENCE_S)
            assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
