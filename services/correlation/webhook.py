"""One notification to one address: an HTTP POST, signed after Standard Webhooks (standardwebhooks.com, version 1.0.0).

Headers: `webhook-id` (the notification's id: receivers drop what they have), `webhook-timestamp` (s since 1970, of this
attempt), `webhook-signature` ("v1," and the base64 of HMAC-SHA-256 over "id.timestamp.body").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

# An answer takes no longer; what does is tried again.
ANSWER_SECONDS = 10.0
# A receiver that says so wants the same again later; other refusals stay what they are.
_PASSING = frozenset((408, 425, 429))
_SECRET_PREFIX = "whsec_"


class UndeliveredError(Exception):
    """An attempt that failed, and may succeed later."""


class RefusedError(Exception):
    """The receiver has answered that it does not want this."""


class Address(NamedTuple):
    """Where a receiver is, and the secret that it shares with us."""

    url: str
    secret: bytes


def secret_of(text: str) -> bytes:
    """The bytes of a secret: "whsec_" and base64, or else the text itself. ValueError where that is no base64."""
    if not text.startswith(_SECRET_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"a secret that begins with {_SECRET_PREFIX} must go on in base64: {error}") from None


def signed(id: str, body: bytes, time_s: int, secret: bytes) -> Mapping[str, str]:
    """The headers of one attempt."""
    text = b".".join((id.encode(), str(time_s).encode(), body))
    signature = base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(time_s),
        "webhook-signature": f"v1,{signature}",
    }


async def post(session: aiohttp.ClientSession, address: Address, id: str, body: bytes, time_s: int) -> None:
    """One attempt. UndeliveredError: later, perhaps; RefusedError: never."""
    headers = signed(id, body, time_s, address.secret)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        # A redirect could send what is signed for one to another.
        async with session.post(
            address.url, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            status = answer.status
    except TimeoutError:
        raise UndeliveredError(f"no answer within {ANSWER_SECONDS:g} s") from None
    except aiohttp.ClientError as error:
        raise UndeliveredError(str(error) or repr(error)) from None
    if 200 <= status < 300:
        return
    if status >= 500 or status in _PASSING:
        raise UndeliveredError(f"HTTP status {status}")
    raise RefusedError(f"HTTP status {status}")
