"""A gRPC client that knows an address and nothing else: it asks the server what there is to call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

TIMEOUT_S = 60.0


class ReflectionClient:
    """Calls methods of a service by name, with requests and responses as dicts in the JSON form."""

    def __init__(self, channel: grpc.Channel, service: str) -> None:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self._channel, self._service = channel, pool.FindServiceByName(service)

    def call(self, method: str, **request: Any) -> dict[str, Any]:
        """One request, one response."""
        found = self._service.methods_by_name[method]
        call = self._channel.unary_unary(f"/{self._service.full_name}/{method}", *_codecs(found))
        response = call(ParseDict(request, GetMessageClass(found.input_type)()), timeout=TIMEOUT_S)
        return dict(MessageToDict(response))

    def stream(self, method: str, timeout: float | None, **request: Any) -> Iterator[dict[str, Any]]:
        """One request, many responses."""
        found = self._service.methods_by_name[method]
        call = self._channel.unary_stream(f"/{self._service.full_name}/{method}", *_codecs(found))
        for response in call(ParseDict(request, GetMessageClass(found.input_type)()), timeout=timeout):
            yield MessageToDict(response)


def _codecs(method: Any) -> tuple[Any, Any]:
    return GetMessageClass(method.input_type).SerializeToString, GetMessageClass(method.output_type).FromString
