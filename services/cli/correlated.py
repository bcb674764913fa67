"""What the correlation service tells, incidents, findings and planned events alike: page by page, or one by its id."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.domains import CORRELATION
from services.cli.output import fail

PAGE_SIZE = 20
WHOLE_ID = len(str(uuid.UUID(int=0)))


def ask(root: Path | None, question: Callable[[Any], Any]) -> Any:
    """The answer to a question that is put to the stub; ends the command, in words, where there is none."""
    import grpc

    from services.cli.calls import in_words, open_stub

    try:
        with open_stub(find_addresses(root), CORRELATION) as stub:
            return question(stub)
    except NothingRunsError as error:
        fail(str(error))
    except grpc.RpcError as error:
        fail(in_words(error))


def pages(stub: Any, city: str, noun: str) -> Iterator[Any]:
    """All of a city, in the order of the service. `noun`: "incident", "finding" or "planned_event"."""
    from services.cli.calls import ANSWER_TIMEOUT_S, messages_of
    from services.runtime.catalogue import camel

    request_type = getattr(messages_of(CORRELATION), f"List{camel(noun)}sRequest")
    token = ""
    while True:
        request = request_type(parent=f"cities/{city}", page_size=PAGE_SIZE, page_token=token)
        page = getattr(stub, f"List{camel(noun)}s")(request, timeout=ANSWER_TIMEOUT_S)
        yield from getattr(page, f"{noun}s")
        token = page.next_page_token
        if not token:
            return


def find(stub: Any, city: str, noun: str, begin: str) -> Any:
    """The one whose id begins so; ends the command where there is none, or several."""
    from services.cli.calls import ANSWER_TIMEOUT_S, messages_of

    found = begin
    if len(begin) < WHOLE_ID:
        matches = [one.id for one in pages(stub, city, noun) if one.id.startswith(begin)]
        if len(matches) != 1:
            fail(f"{f'no {noun}' if not matches else f'{len(matches)} {noun}s'} of {city} begin with {begin}")
        found = matches[0]
    request = getattr(messages_of(CORRELATION), f"Get{noun.capitalize()}Request")
    return getattr(stub, f"Get{noun.capitalize()}")(
        request(name=f"cities/{city}/{noun}s/{found}"), timeout=ANSWER_TIMEOUT_S
    )


def document(message: Any) -> dict[str, Any]:
    """As JSON has it."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True)
