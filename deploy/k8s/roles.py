"""Every service and role of a deployment, as the catalogue of topics knows them, and what a role of its sort needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.core.kind import Domain
from services.runtime.catalogue import Topic, catalogue

API, PROCESSOR, ARCHIVER = "api", "processor", "archiver"

# Ports inside a pod, as base/settings.env tells the services.
GRPC_PORT = 50051
METRICS_PORT = 9464


@dataclass(frozen=True)
class Profile:
    """What pods of a role are given.

    Memory: the request is above what tests/benchmarks measured of a role at work in a city's load, the limit where
    something is wrong. No limit of CPU: a worker that is throttled holds back event time, and the scheduler shares by
    request anyway.
    """

    lasting: bool  # a StatefulSet: the pod keeps its name over a restart, and so its place in the consumer group
    replicas: int
    cpu_request: str
    memory_request_mib: int
    memory_limit_mib: int
    balanced: bool = False  # clients call it through a Service


PROFILES = {
    API: Profile(False, 2, "250m", 256, 768, balanced=True),
    PROCESSOR: Profile(True, 2, "500m", 768, 3072),
    ARCHIVER: Profile(False, 2, "250m", 384, 1024),
}
# A role that is not of the three is a worker on the log that does not scale: one works, the other takes over.
WORKER = Profile(True, 2, "100m", 256, 768)


@dataclass(frozen=True, order=True)
class Role:
    """One role of one service: `python -m services.<service> <role>`."""

    service: str
    role: str

    @property
    def name(self) -> str:
        """Its name in Kubernetes: traffic-api."""
        return f"{self.service}-{self.role}".replace("_", "-")

    @property
    def key(self) -> str:
        """Its name in the catalogue: traffic:api."""
        return f"{self.service}:{self.role}"

    @property
    def command(self) -> list[str]:
        return ["python", "-m", f"services.{self.service}", self.role]

    @property
    def profile(self) -> Profile:
        return PROFILES.get(self.role, WORKER)

    @property
    def labels(self) -> dict[str, str]:
        """What selects its pods."""
        return {"app.kubernetes.io/name": self.service, "app.kubernetes.io/component": self.role}


@dataclass(frozen=True)
class City:
    """What is deployed: the domains, and all that follows from them."""

    domains: Sequence[Domain]

    @property
    def topics(self) -> Sequence[Topic]:
        return catalogue(self.domains)

    @property
    def roles(self) -> Sequence[Role]:
        """Whoever writes or reads a topic, by service and role."""
        keys = {key for topic in self.topics for key in (*topic.writers, *topic.readers)}
        return sorted(Role(*key.split(":")) for key in keys)

    def written(self, role: Role) -> list[Topic]:
        return [topic for topic in self.topics if role.key in topic.writers]

    def read(self, role: Role) -> list[Topic]:
        return [topic for topic in self.topics if role.key in topic.readers]

    def shared_out(self, role: Role) -> list[Topic]:
        """The topics whose partitions the members of the role's consumer group share; none: it has no group."""
        return [topic for topic in self.read(role) if role.key in topic.groups]
