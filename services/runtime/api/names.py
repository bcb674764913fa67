"""Resource names and page tokens, after AIP-122 and AIP-158."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

import orjson

from services.runtime.errors import invalid_field

_PARENT = re.compile(r"cities/([a-z0-9-]{1,63})")
DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


def read_parent(parent: str) -> str:
    """The city of `cities/{city}`; INVALID_ARGUMENT otherwise."""
    match = _PARENT.fullmatch(parent)
    if match is None:
        raise invalid_field("parent", parent, "must be cities/{city}, the city 1 to 63 of a-z, 0-9 and '-'")
    return match[1]


def read_page_size(page_size: int) -> int:
    """Rows a page: 0 is 100, more than 1,000 is 1,000 (AIP-158); INVALID_ARGUMENT below 0."""
    if page_size < 0:
        raise invalid_field("page_size", page_size, "must not be negative")
    return min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def encode_token(value: object) -> str:
    """An opaque token of a JSON value, safe in URLs."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def decode_token(field: str, token: str) -> Any:
    """The JSON value of a token; INVALID_ARGUMENT where it is none of ours."""
    try:
        return orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise invalid_field(field, token, "is no token of this service") from None


def page_token(request: Any, last: list[object]) -> str:
    """Token of the page behind the row whose order values are `last`; it is good for the same request only."""
    return encode_token([_digest(request), *last])


def read_page_token(request: Any, types: tuple[type, ...]) -> list[Any] | None:
    """The order values of the last row of the page before, of these types; None: this is the first page.

    INVALID_ARGUMENT where the token is none of ours, or of another request.
    """
    if not request.page_token:
        return None
    found = decode_token("page_token", request.page_token)
    if not isinstance(found, list) or len(found) != len(types) + 1:
        raise invalid_field("page_token", request.page_token, "is no token of this method")
    if found[0] != _digest(request):
        raise invalid_field("page_token", request.page_token, "belongs to another request: keep the other fields")
    if any(type(value) is not wanted for value, wanted in zip(found[1:], types, strict=True)):
        raise invalid_field("page_token", request.page_token, "is no token of this method")
    return found[1:]


def _digest(request: Any) -> str:
    """What a request asks for, whatever the page and its size."""
    asked = type(request)()
    asked.CopyFrom(request)
    asked.ClearField("page_token")
    asked.ClearField("page_size")
    named = request.DESCRIPTOR.full_name.encode() + asked.SerializeToString(deterministic=True)
    return hashlib.sha256(named).hexdigest()[:16]
