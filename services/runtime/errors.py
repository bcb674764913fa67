"""How a call is refused: a gRPC status with google.rpc details that name field, value and reason (AIP-193)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from services.runtime.rows import clip

# Trailing metadata is refused by clients beyond 8 KiB; violations are told until this much is used up.
MAX_DETAIL_BYTES = 4096
ERROR_DOMAIN = "urban"


class Violation(NamedTuple):
    """One field that is wrong: "observations[3].speed_kmh", its value as text, and the reason."""

    field: str
    value: str
    reason: str

    @property
    def description(self) -> str:
        return f"{self.value}: {self.reason}" if self.value else self.reason


class CallError(Exception):
    """Ends a call with a status. `reason` and `metadata` are for programs: UPPER_SNAKE_CASE, and facts by name."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        details: Iterable[Any] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, tuple(details)
        self.metadata = dict(metadata or {})

    def status(self) -> status_pb2.Status:
        """The google.rpc.Status: code, message, ErrorInfo and what else is known."""
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=ERROR_DOMAIN, metadata=self.metadata)
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in (info, *self.details):
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        return status


def invalid_argument(violations: Iterable[Violation], message: str = "") -> CallError:
    """INVALID_ARGUMENT with a google.rpc.BadRequest of the first violations (about 4 KiB of them).

    Without a message of its own, the status says the first violation.
    """
    request = error_details_pb2.BadRequest()
    first = ""
    for field, value, reason in violations:
        violation = Violation(clip(field), clip(value), reason)
        first = first or f"{violation.field}: {violation.description}"
        request.field_violations.add(field=violation.field, description=violation.description)
        if request.ByteSize() > MAX_DETAIL_BYTES:
            del request.field_violations[-1]
            break
    return CallError(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", message or first, (request,))


def invalid_field(field: str, value: object, reason: str) -> CallError:
    """INVALID_ARGUMENT for one field."""
    return invalid_argument((Violation(field, str(value), reason),))


def resource_exhausted(field: str, value: object, reason: str) -> CallError:
    """RESOURCE_EXHAUSTED for something that is too large or too many."""
    message = f"{field}: {clip(str(value))}: {reason}"
    failure = error_details_pb2.QuotaFailure()
    failure.violations.add(subject=field, description=message)
    return CallError(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE", message, (failure,))


def cut_off(seconds: float, metadata: Mapping[str, str]) -> CallError:
    """RESOURCE_EXHAUSTED for a subscriber that did not take what it was sent; `metadata` says where to go on."""
    message = f"subscriber: a response was not taken within {seconds:g} s: go on with the resume_token of this error"
    return CallError(grpc.StatusCode.RESOURCE_EXHAUSTED, "SLOW_SUBSCRIBER", message, metadata=metadata)


def failed_precondition(subject: str, message: str) -> CallError:
    """FAILED_PRECONDITION: the call can never succeed in the present state."""
    failure = error_details_pb2.PreconditionFailure()
    failure.violations.add(type="STATE", subject=subject, description=message)
    return CallError(grpc.StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION", message, (failure,))


def not_found(name: str) -> CallError:
    """NOT_FOUND for a resource name."""
    info = error_details_pb2.ResourceInfo(resource_name=clip(name))
    return CallError(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", f"{clip(name)} does not exist", (info,))


def out_of_range(field: str, message: str) -> CallError:
    """OUT_OF_RANGE: a position that the log no longer holds; start anew."""
    return CallError(grpc.StatusCode.OUT_OF_RANGE, "OUT_OF_RANGE", f"{field}: {message}")


def unavailable(message: str, metadata: Mapping[str, str] | None = None) -> CallError:
    """UNAVAILABLE: the one status after which a client may simply try again (AIP-194)."""
    return CallError(grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", message, metadata=metadata)
