"""Calls to the gRPC services of a city: channels, stubs, and errors in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.cli.addresses import Addresses
from services.runtime.catalogue import camel
from services.runtime.grpc_client import open_channel

ANSWER_TIMEOUT_S = 20.0
# An incident may list thousands of signals; a page of them is larger than gRPC's usual 4 MiB.
OPTIONS = (("grpc.max_receive_message_length", 64 << 20),)


def stub_of(service: str, channel: Any) -> Any:
    """The generated stub of a service, "traffic" or "correlation", on a channel of grpc or grpc.aio."""
    module = import_module(f"urban.{service}.v1.service_pb2_grpc")
    return getattr(module, f"{camel(service)}ServiceStub")(channel)


def messages_of(service: str) -> Any:
    """The module with the requests and responses of a service."""
    return import_module(f"urban.{service}.v1.service_pb2")


@contextmanager
def open_stub(addresses: Addresses, service: str) -> Iterator[Any]:
    """A stub of a running service; the channel closes with the block."""
    with open_channel(addresses.service(service).grpc, OPTIONS) as channel:
        yield stub_of(service, channel)


def violations_of(error: grpc.RpcError) -> list[tuple[str, str]]:
    """Field and description of every google.rpc.BadRequest violation in an error."""
    # What a stub raises is an error and a call in one; only the first stands in its type.
    status = rpc_status.from_call(cast("grpc.Call", error))
    found: list[tuple[str, str]] = []
    for detail in status.details if status is not None else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            found += [(violation.field, violation.description) for violation in bad.field_violations]
    return found


def reason_of(error: grpc.RpcError) -> str:
    """The reason, for programs, of a google.rpc.ErrorInfo in an error; empty where there is none."""
    status = rpc_status.from_call(cast("grpc.Call", error))
    info = error_details_pb2.ErrorInfo()
    return next((info.reason for detail in (status.details if status else ()) if detail.Unpack(info)), "")


def in_words(error: grpc.RpcError) -> str:
    """One line on what a service answered."""
    text = f"{error.code().name}: {error.details()}"
    found = "; ".join(f"{field}: {description}" for field, description in violations_of(error)[:5])
    return f"{text} ({found})" if found else text
