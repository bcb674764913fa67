"""Who may do what in ClickHouse: one user per service and role with the least grants, from the domains' declarations.

Nobody but `views` may read everything, and nobody can log in as `views`: what analysts read is computed as that user
(SQL SECURITY DEFINER), so that a view that hides small numbers of people cannot be passed by. tests/deploy holds the
roles against the topics' catalogue, tests/integration/grants each user against the real engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from deploy.k8s.roles import API, ARCHIVER, PROCESSOR, Role
from services.cli.domains import CORRELATION
from services.core.kind import Domain
from services.runtime.entity_dictionary import NAME, TABLE
from services.runtime.migrations import ANALYSTS, DICTIONARIES_USER, VIEWS_USER, schemas

BOOK = "schema_versions"  # of the migrations; every role looks whether they are done before it begins
MIGRATE, OPERATOR, ANALYST, PLANNER, CONTACTS = "migrate", "operator", "analyst", "planner", "contacts"

# What the roles of the correlation write; its api answers out of the log.
_CORRELATION_WRITES = {
    "api": (),
    "processor": ("incidents", "incident_audit", "shadow_incidents", "shadow_runs"),
    "responder": ("notifications",),
    "scanner": ("findings",),
    "exchange": ("shared_incidents",),
}
# What `urban doctor` looks at beside the views.
_LOOKED_AT = ("disks", "parts", "merges", "mutations", "replicas", "merge_tree_settings")
# Commands that planners start (services/community/place_forecast.py and the like), none of which reads a person.
_PLANNED_WITH = {
    "community": ("people_count_windows", "service_request", "entities"),
    "environment": ("noise",),
    "traffic": ("road_state", "road_flow_windows", "entities"),
}
_MATERIALIZED = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS \w+ TO (\w+)")


class Login(Enum):
    """Who comes as a user, and so from where, and within which bounds."""

    SERVICE = "service"
    PERSON = "person"
    ANALYST = "analyst"
    ITSELF = "itself"  # the server asks itself: from loopback, without a password
    NOBODY = "nobody"  # statements run as it; no password fits


@dataclass(frozen=True)
class User:
    """A user of ClickHouse. `grants`: statements without the end `TO name`, as users.xml and the operator take them."""

    name: str
    login: Login
    grants: tuple[str, ...]

    @property
    def secret(self) -> str:
        """The Secret of Kubernetes with its password, and the url that holds it."""
        return secret_of(self.name)


def secret_of(name: str) -> str:
    """The name of a user's Secret."""
    return f"clickhouse-{name.replace('_', '-')}"


def user_of(role: Role) -> str:
    """The name of a role's user: traffic_api."""
    return f"{role.service}_{role.role}"


def users(domains: Sequence[Domain]) -> list[User]:
    """Every user of a city with these domains, in a lasting order."""
    return [
        *(_service(Role(domain.name, role), grants) for domain in domains for role, grants in _of_domain(domain)),
        *(_service(Role(CORRELATION, role), _insert(CORRELATION, t)) for role, t in _CORRELATION_WRITES.items()),
        User(MIGRATE, Login.SERVICE, tuple(_migrate())),
        User(OPERATOR, Login.PERSON, tuple(_operator(domains))),
        User(ANALYST, Login.ANALYST, (_of_analysts(),)),
        User(PLANNER, Login.PERSON, tuple(_select_all(_PLANNED_WITH))),
        User(CONTACTS, Login.PERSON, tuple(_contacts())),
        User(VIEWS_USER, Login.NOBODY, tuple(_views(domains))),
        User(DICTIONARIES_USER, Login.ITSELF, tuple(_on("SELECT", d.name, (TABLE,))[0] for d in domains)),
    ]


def _service(role: Role, grants: Iterable[str]) -> User:
    return User(user_of(role), Login.SERVICE, (*grants, *_books()))


def _of_domain(domain: Domain) -> Iterable[tuple[str, list[str]]]:
    """Roles of a domain with their grants: what services/runtime does in each, table by table."""
    windows = tuple(f"{kind.name}_windows" for kind in domain.kinds)
    indices = tuple(index.name for kind in domain.kinds for index in kind.indices)
    normal = tuple(f"{kind.name}_windows" for kind in domain.kinds if kind.baseline is not None)
    yield API, _select(domain.name, (*windows, "signals", "ledger"))
    yield (
        PROCESSOR,
        [
            *_insert(domain.name, (*windows, *indices, "signals", "ledger", "dead_letters")),
            # What is normal is computed by the server: INSERT … SELECT, and read back.
            *(_select(domain.name, (*normal, "baselines")) if normal else ()),
            *(_insert(domain.name, ("baselines",)) if normal else ()),
        ],
    )
    kinds = tuple(kind.name for kind in domain.kinds)
    yield (
        ARCHIVER,
        [
            *_insert(domain.name, (*kinds, TABLE, "archive_ledger")),
            *_select(domain.name, ("ledger", "archive_ledger")),
            # New names are read at once. ClickHouse knows this right for all dictionaries or none.
            "GRANT SYSTEM RELOAD DICTIONARY ON *.*",
        ],
    )


def _migrate() -> Iterable[str]:
    """Makes and changes what there is, and reads it to make views of it; it writes no row but that it has done so."""
    for database in schemas():
        yield f"GRANT SHOW, SELECT, dictGet, ALTER, CREATE, DROP VIEW, DROP DICTIONARY ON {database}.*"
        yield f"GRANT INSERT, OPTIMIZE ON {database}.{BOOK}"
    # Who makes a view that fills a table must be allowed to fill it.
    yield from _insert_into_filled()
    yield "GRANT CLUSTER ON *.*"
    yield f"GRANT SET DEFINER ON {VIEWS_USER}"


def _operator(domains: Sequence[Domain]) -> Iterable[str]:
    """`urban doctor`, `status`, `dlq`, `rules backtest` and `sql`; and who asked who was together with whom."""
    yield _of_analysts()
    yield from _books()
    yield from _select("system", _LOOKED_AT)
    yield from (f"GRANT SHOW ON {database}.*" for database in schemas())
    yield from _select(CORRELATION, ("incidents",))
    # Who asks cannot read whether others did, and who reads it cannot ask.
    yield from _select("community", ("contact_queries",))
    yield from (line for d in domains for line in _insert(d.name, ("dead_letter_replays",)))


def _contacts() -> Iterable[str]:
    """services/community/contact_query.py, for those who may ask who was together with whom."""
    yield from _select("community", (BOOK, "passage", TABLE))
    yield from _insert("community", ("contact_queries", "_contacts"))


def _views(domains: Sequence[Domain]) -> Iterable[str]:
    """What views and materialized views do. Found contacts are for those who asked, and in no view."""
    yield from (f"GRANT dictGet ON {domain.name}.{NAME}" for domain in domains)
    yield from (f"GRANT SELECT ON {database}.*" for database in schemas())
    yield from _insert_into_filled()
    yield "REVOKE SELECT ON community._contacts"


def _insert_into_filled() -> Iterable[str]:
    """Tables that materialized views fill."""
    for database, folder in schemas().items():
        for path in sorted(folder.glob("*.up.sql")):
            yield from _insert(database, _MATERIALIZED.findall(path.read_text(encoding="utf-8")))


def _of_analysts() -> str:
    return f"GRANT SELECT ON {ANALYSTS}.v_*"


def _books() -> list[str]:
    return [f"GRANT SELECT ON {database}.{BOOK}" for database in schemas()]


def _select(database: str, tables: Iterable[str]) -> list[str]:
    return _on("SELECT", database, tables)


def _select_all(tables: dict[str, tuple[str, ...]]) -> Iterable[str]:
    return (line for database, names in tables.items() for line in _select(database, names))


def _insert(database: str, tables: Iterable[str]) -> list[str]:
    return _on("INSERT", database, tables)


def _on(privilege: str, database: str, tables: Iterable[str]) -> list[str]:
    return [f"GRANT {privilege} ON {database}.{table}" for table in tables]
