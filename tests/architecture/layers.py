"""The rules of who may import what, and what pure code may not do, as one table and the functions that apply it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.sources import Source, list_calls, list_imports, read_sources

# What is in `services` and not a service of its own.
SHARED = ("core", "runtime")
# What stands above the services: it may use them, they may not use it.
ABOVE = ("cli", "feeds")

# The part of the standard library that computes and does nothing else.
PURE_STDLIB = (
    "__future__ abc array base64 binascii bisect collections contextlib copy dataclasses datetime decimal enum "
    "fractions functools hashlib heapq hmac itertools json math numbers operator re statistics string struct types "
    "typing uuid zlib zoneinfo"
).split()
PURE = (*PURE_STDLIB, "numpy", "services.core")

FAUST_FILES = ("services/runtime/faust_host.py", "services/runtime/faust_driver.py")
TRACES_FILE = "services/runtime/otlp.py"

# Pure modules that a service keeps beside its wiring, or packages of them where one file would be long; a declaration
# refers to its own indices and detectors, and may keep each kind in a file of the kind's name.
KIND_MODULES = ("camera_event", "credential_event", "emergency_call")
PURE_MODULES = ("domain", "indices", "detectors", *KIND_MODULES)

# The clock, chance, the outside world, and what differs from process to process though it looks pure (hash of a str).
# Compared with the end of the dotted name of a call.
IMPURE_CALLS = (
    "datetime.now datetime.utcnow datetime.today date.today uuid.uuid1 uuid.uuid4 open print input eval exec "
    "breakpoint hash numpy.load numpy.save numpy.savez numpy.fromfile numpy.memmap numpy.loadtxt numpy.savetxt"
).split()
IMPURE_MODULES = ("numpy.random",)

# Calls that open a connection, start a server or a process. Compared with the last part of the name.
CONNECT_CALLS = frozenset(
    "connect create_connection get_client create_client get_async_client create_async_client insecure_channel "
    "secure_channel AIOKafkaProducer AIOKafkaConsumer AIOKafkaAdminClient Producer Consumer AdminClient urlopen "
    "Popen start_http_server create_subprocess_exec open_connection start_server".split()
)
CONNECT_PATHS = frozenset("grpc.server grpc.aio.server socket.socket asyncio.run subprocess.run uvicorn.run".split())


@dataclass(frozen=True)
class Violation:
    """One broken rule: where, and what was wrong."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


@dataclass(frozen=True)
class Rule:
    """For the files that `where` matches: imports must be within `allowed` (when given) and outside `forbidden`.

    `{own}` in a prefix stands for the folder below `services` that the file is in.
    """

    where: str
    why: str
    allowed: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    except_for: tuple[str, ...] = ()


_SERVICE = rf"services/(?!(?:{'|'.join((*SHARED, *ABOVE))})/)\w+"
_OWN_PURE = tuple(f"services.{{own}}.{name}" for name in PURE_MODULES)

RULES = (
    Rule(r"services/core/.*", "core is pure", allowed=(*PURE, "h3")),
    Rule(
        rf"{_SERVICE}/({'|'.join(PURE_MODULES)})(/\w+)*\.py",
        "a declaration, its indices and detectors are pure",
        allowed=(*PURE, *_OWN_PURE),
    ),
    Rule(
        r"services/runtime/.*",
        "the runtime knows no service",
        forbidden=("services",),
        except_for=("services.core", "services.runtime"),
    ),
    Rule(
        rf"{_SERVICE}/.*",
        "a service imports itself, the runtime and core",
        forbidden=("services",),
        except_for=("services.core", "services.runtime", "services.{own}"),
    ),
    Rule(r"deploy/local/.*", "the embedded servers know no service", forbidden=("services",)),
    Rule(
        rf"(?!(?:{'|'.join(map(re.escape, FAUST_FILES))})$).*",
        "Faust stays behind its host and its driver",
        forbidden=("faust", "mode"),
    ),
    Rule(
        rf"(?!{re.escape(TRACES_FILE)}$).*",
        "OpenTelemetry stays behind its seam, services/runtime/tracing.py",
        forbidden=("opentelemetry",),
    ),
    Rule(r".*", "what runs knows no test", forbidden=("tests",)),
)

_PURE_FILES = tuple(rule.where for rule in RULES if rule.allowed)


def find_violations(root: Path) -> list[Violation]:
    """Applies every rule to every module below `services` and `deploy` of `root`."""
    return [found for source in read_sources(root) for found in (*_check_imports(source), *_check_calls(source))]


def _check_imports(source: Source) -> Iterator[Violation]:
    parts = source.path.split("/")
    own = parts[1] if parts[0] == "services" and len(parts) > 2 else ""
    for rule in RULES:
        if not re.fullmatch(rule.where, source.path):
            continue
        allowed, except_for = (
            [prefix.format(own=own) for prefix in group] for group in (rule.allowed, rule.except_for)
        )
        for imported in list_imports(source):
            unknown = bool(allowed) and not _within(imported.name, allowed)
            refused = _within(imported.name, rule.forbidden) and not _within(imported.name, except_for)
            if unknown or refused:
                yield Violation(source.path, imported.line, f"imports {imported.name}: {rule.why}")


def _check_calls(source: Source) -> Iterator[Violation]:
    pure = any(re.fullmatch(where, source.path) for where in _PURE_FILES)
    if pure:
        for imported in list_imports(source):
            if _within(imported.name, IMPURE_MODULES):
                yield Violation(source.path, imported.line, f"imports {imported.name}: not pure")
    for call in list_calls(source):
        if pure and (_ends_with_any(call.name, IMPURE_CALLS) or _within(call.name, IMPURE_MODULES)):
            yield Violation(source.path, call.line, f"calls {call.name}: not pure")
        if call.at_import and (call.name.rpartition(".")[2] in CONNECT_CALLS or call.name in CONNECT_PATHS):
            yield Violation(source.path, call.line, f"calls {call.name} at import: nothing connects before wire()")


def _within(name: str, prefixes: list[str] | tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def _ends_with_any(name: str, endings: list[str]) -> bool:
    """Whether the call is one of these; a bare builtin (`open`) is not the method of an object (`window.open`)."""
    return any(name == ending or ("." in ending and name.endswith("." + ending)) for ending in endings)
