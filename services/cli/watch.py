"""`urban watch`: windows, signals, incidents or findings as they happen."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.addresses import Addresses, NothingRunsError, find_addresses
from services.cli.domains import CORRELATION, DomainError, domain_names
from services.cli.output import DEFAULT_CITY, CityOption, JsonOption, RootOption, fail, say

# A stream needs a deadline; at its end the next one goes on right behind its last answer.
STREAM_S = 600.0
RETRY_S = 1.0
RESUME_TOKEN_KEY = "urban-resume-token"  # see urban.common.v1.WatchWindowsRequest


class Stream(StrEnum):
    """What can be watched."""

    WINDOWS = "windows"
    SIGNALS = "signals"
    INCIDENTS = "incidents"
    FINDINGS = "findings"


def watch(
    what: Annotated[Stream, typer.Argument(help="What to watch.")],
    domain: Annotated[str, typer.Option("--domain", help="Only this domain (windows and signals).")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only this kind of observation (windows).")] = "",
    early: Annotated[bool, typer.Option("--early", help="Also windows that are still open, as they stand.")] = False,
    type: Annotated[str, typer.Option("--type", help="Only signals of this type.")] = "",
    count: Annotated[int, typer.Option("--count", min=0, help="End after so many; 0: never.")] = 0,
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Print windows, signals, incidents or findings as they happen, one a line, until Ctrl-C."""
    import asyncio

    import grpc

    from services.cli.calls import in_words

    try:
        addresses = find_addresses(root)
        if what in (Stream.INCIDENTS, Stream.FINDINGS):
            sources = [_Source(addresses, CORRELATION, what.value.capitalize(), {"parent": f"cities/{city}"})]
        else:
            if domain and domain not in domain_names():
                fail(f"unknown domain {domain!r}; there are {', '.join(domain_names())}")
            filters = {"kind": kind, "include_early": early} if what is Stream.WINDOWS else {"type": type}
            fields: dict[str, Any] = {"parent": f"cities/{city}", **filters}
            names = [domain] if domain else list(domain_names())
            sources = [_Source(addresses, name, what.value.capitalize(), fields) for name in names]
        asyncio.run(_follow_all(sources, _Printer(what, as_json, count)))
    except (NothingRunsError, DomainError) as error:
        fail(str(error))
    except grpc.RpcError as error:
        fail(in_words(error))
    except KeyboardInterrupt:
        return


class _Printer:
    """Prints each message on a line of its own and counts them."""

    def __init__(self, what: Stream, as_json: bool, count: int) -> None:
        from services.cli.explain import incident_line, signal_line, window_line
        from services.cli.explain_finding import finding_line

        lines: dict[Stream, Callable[[Any], str]] = {
            Stream.WINDOWS: window_line,
            Stream.SIGNALS: signal_line,
            Stream.INCIDENTS: incident_line,
            Stream.FINDINGS: finding_line,
        }
        self._line = _json_line if as_json else lines[what]
        self._left = count or None

    def take(self, response: Any) -> bool:
        """Print what a response carries; False once enough was printed."""
        messages = response.windows if "windows" in response.DESCRIPTOR.fields_by_name else [_only(response)]
        for message in messages:
            if self._left == 0:
                return False
            print(self._line(message), flush=True)
            if self._left is not None:
                self._left -= 1
        return self._left != 0


class _Source:
    """One stream of one service, resumed where it ended."""

    def __init__(self, addresses: Addresses, service: str, method: str, fields: dict[str, Any]) -> None:
        self.address = addresses.service(service).grpc
        self._service, self._method, self._fields = service, method, fields
        self._token = ""

    async def follow(self, printer: _Printer) -> None:
        """Until the printer has enough; a service that is away is asked again every second."""
        import asyncio

        import grpc

        from services.cli.calls import OPTIONS, messages_of, reason_of, stub_of
        from services.runtime.grpc_client import open_aio_channel

        request_type = self._request_type(messages_of(self._service))
        async with open_aio_channel(self.address, OPTIONS) as channel:
            method = getattr(stub_of(self._service, channel), f"Watch{self._method}")
            while True:
                call = method(request_type(**self._fields, resume_token=self._token), timeout=STREAM_S)
                try:
                    self._resume_from(await call.initial_metadata())
                    async for response in call:
                        self._token = response.resume_token
                        if not printer.take(response):
                            return
                    self._resume_from(await call.trailing_metadata())
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.UNAVAILABLE:
                        say(f"{self._service} does not answer, asking again")
                        await asyncio.sleep(RETRY_S)
                    elif reason_of(error) == "SLOW_SUBSCRIBER":
                        say(f"{self._service} was not listened to, going on where it stopped")
                    elif error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                        raise

    def _resume_from(self, metadata: Any) -> None:
        """A stream says where it begins and ends, so that nothing is missed where nothing came."""
        self._token = dict(metadata or ()).get(RESUME_TOKEN_KEY, self._token)

    def _request_type(self, messages: Any) -> Any:
        from urban.common.v1 import service_pb2

        name = f"Watch{self._method}Request"
        return getattr(messages, name, None) or getattr(service_pb2, name)


async def _follow_all(sources: list[_Source], printer: _Printer) -> None:
    import asyncio

    tasks = [asyncio.ensure_future(source.follow(printer)) for source in sources]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _only(response: Any) -> Any:
    """The one message of a response beside its resume token."""
    (field,) = (name for name in response.DESCRIPTOR.fields_by_name if name != "resume_token")
    return getattr(response, field)


def _json_line(message: Any) -> str:
    from google.protobuf.json_format import MessageToDict

    return json.dumps(MessageToDict(message, preserving_proto_field_name=True))
