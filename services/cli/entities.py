"""`urban entities`: what observations are about: sensors, road segments, gates, cameras, zones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.domains import domain_names
from services.cli.entity_files import FileFormat
from services.cli.output import DEFAULT_CITY, CityOption, JsonOption, RootOption, fail, say, table

if TYPE_CHECKING:
    from services.cli.entity_import import Import

app = typer.Typer(help="Sensors, road segments, gates, cameras, zones: import, list, show.", no_args_is_help=True)

DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help='Domain that they belong to, "traffic".')]
TypeOption = Annotated[str, typer.Option("--type", help="Only of this type.")]

LISTED = 50
PAGE_SIZE = 1_000
MOST_FAULTS = 1_000


@app.command("import")
def import_entities(
    domain: DomainArgument,
    file: Annotated[Path, typer.Argument(help="CSV with a line of names, or GeoJSON.", exists=True, dir_okay=False)],
    format: Annotated[FileFormat | None, typer.Option("--format", help="Else what the file's name ends in.")] = None,
    type: Annotated[str, typer.Option("--type", help="Type of all of them; else each row tells its own.")] = "",
    id_column: Annotated[str, typer.Option("--id", help="Column or property of the id; else entity_id or id.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is wrong, and write nothing.")] = False,
    city: CityOption = DEFAULT_CITY,
    root: RootOption = None,
) -> None:
    """Create the entities of a file, or replace them whole; nothing is written where one of them is wrong."""
    from services.cli.entity_files import Into, UnreadableFileError
    from services.cli.entity_import import read_file

    into = Into(_known_city(city), _known_domain(domain), type)
    try:
        places, entities, faults = read_file(file, format, into, id_column)
    except (UnreadableFileError, OSError, ValueError) as error:
        fail(f"{file}: {error}")
    if not faults and not entities:
        fail(f"{file}: there are no entities in it")

    def run(stub: Any) -> Import:
        from services.cli.entity_import import Import

        made = Import(stub, places, entities)
        faults.extend(made.check(_progress("checked")))
        if not faults and not dry_run:
            made.write(_progress("imported"))
        return made

    if not faults:
        done = _ask(root, domain, run)
        if done.error:
            _tell_half(done)
    if faults:
        _refuse(faults, len(places))
    print(f"{len(entities):,} entities {'would be imported' if dry_run else 'imported'}")


def _refuse(faults: list[Any], rows: int) -> None:
    for fault in faults[:MOST_FAULTS]:
        say(str(fault))
    if len(faults) > MOST_FAULTS:
        say(f"… and {len(faults) - MOST_FAULTS:,} more")
    wrong = len({fault.place for fault in faults})
    fail(f"{wrong:,} of {rows:,} are wrong: nothing was imported")


def _tell_half(done: Import) -> None:
    """Where a service or Kafka went away in the midst of it."""
    places, count = done.places, len(done.places)
    if done.written:
        span = f"{places[0]} to {places[done.written - 1]}"
        say(f"{done.written:,} of {count:,} entities are imported: {span}")
    fail(f"stopped at {places[done.written]}: {done.error} (import the file again: what is there is written anew)")


def _progress(what: str) -> Callable[[int, int], None]:
    """Tells how far it is: on a terminal in one line that changes, elsewhere now and then."""
    import sys
    import time

    last_s = time.monotonic()

    def tell(done: int, all: int) -> None:
        nonlocal last_s
        if sys.stderr.isatty():
            end = "\n" if done == all else ""
            print(f"\r{done:,} of {all:,} {what}", end=end, file=sys.stderr, flush=True)
        elif time.monotonic() - last_s > 2.0:
            last_s = time.monotonic()
            say(f"{done:,} of {all:,} {what}")

    return tell


@app.command("list")
def list_entities(
    domain: DomainArgument,
    type: TypeOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = LISTED,
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """List the entities of a domain in the order of their ids."""
    found = _ask(root, _known_domain(domain), lambda stub: list(_pages(stub, _known_city(city), type, limit + 1)))
    shown = found[:limit]
    if as_json:
        print(json.dumps([_document(entity) for entity in shown], indent=1))
    else:
        rows = [(_id(e), e.type, e.display_name, *_position(e), len(e.numbers) + len(e.labels)) for e in shown]
        heads = ("id", "type", "name", "latitude", "longitude", "attributes")
        print(table(heads, rows) if rows else "no entities")
    if len(found) > limit:
        say(f"the first {limit:,}; more with --limit")


@app.command()
def show(
    domain: DomainArgument,
    entity_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, as observations carry it.")],
    city: CityOption = DEFAULT_CITY,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Show one entity with all of its attributes."""
    from services.runtime.entities import entity_name
    from urban.common.v1.service_pb2 import GetEntityRequest

    request = GetEntityRequest(name=entity_name(_known_city(city), _known_domain(domain), entity_id))
    entity = _ask(root, domain, lambda stub: stub.GetEntity(request, timeout=_timeout_s()))
    if as_json:
        print(json.dumps(_document(entity), indent=1))
        return
    latitude, longitude = _position(entity)
    lines = {
        "type": entity.type,
        "name": entity.display_name,
        "position": f"{latitude}, {longitude}" if entity.HasField("position") else "not known",
        "H3 cell": f"{entity.position.h3_cell:x}" if entity.HasField("position") else "",
        **{name: f"{number:g}" for name, number in sorted(entity.numbers.items())},
        **{name: text for name, text in sorted(entity.labels.items()) if name not in entity.numbers},
        "told": f"{entity.update_time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC",
    }
    width = max(map(len, lines))
    print("\n".join([entity.name, *(f"  {name.ljust(width)}  {text}" for name, text in lines.items() if text)]))


def _pages(stub: Any, city: str, type: str, limit: int) -> Iterator[Any]:
    from urban.common.v1.service_pb2 import ListEntitiesRequest

    token = ""
    while limit > 0:
        request = ListEntitiesRequest(
            parent=f"cities/{city}", type=type, page_size=min(PAGE_SIZE, limit), page_token=token
        )
        page = stub.ListEntities(request, timeout=_timeout_s())
        yield from page.entities
        limit -= len(page.entities)
        token = page.next_page_token
        if not token:
            return


def _ask(root: Path | None, domain: str, question: Callable[[Any], Any]) -> Any:
    import grpc

    from services.cli.calls import in_words, open_stub

    try:
        with open_stub(find_addresses(root), domain) as stub:
            return question(stub)
    except NothingRunsError as error:
        fail(str(error))
    except grpc.RpcError as error:
        fail(in_words(error))


def _timeout_s() -> float:
    from services.cli.calls import ANSWER_TIMEOUT_S

    return ANSWER_TIMEOUT_S


def _known_domain(name: str) -> str:
    if name not in domain_names():
        fail(f"unknown domain {name!r}; there are {', '.join(domain_names())}")
    return name


def _known_city(name: str) -> str:
    from services.core.validation import CITY

    if not CITY.fullmatch(name):
        fail(f"--city {name!r}: must be 1 to 63 of a-z, 0-9 and '-'")
    return name


def _id(entity: Any) -> str:
    return str(entity.name.rpartition("/")[2])


def _position(entity: Any) -> tuple[str, str]:
    if not entity.HasField("position"):
        return "", ""
    return f"{entity.position.latitude:.6f}", f"{entity.position.longitude:.6f}"


def _document(entity: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(entity, preserving_proto_field_name=True)
