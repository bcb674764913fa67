"""components/gateway: one GRPCRoute per service, by the full names of what its api serves."""

from __future__ import annotations

from importlib import import_module

from deploy.k8s.objects import Object, resource
from deploy.k8s.roles import API, GRPC_PORT, City, Role
from deploy.k8s.workloads import labels

GATEWAY = "urban"


def routes(city: City) -> list[Object]:
    return [_route(role) for role in city.roles if role.role == API]


def services_of(role: Role) -> list[str]:
    """Full names of the gRPC services of its contract."""
    contract = import_module(f"urban.{role.service}.v1.service_pb2").DESCRIPTOR
    return [service.full_name for service in contract.services_by_name.values()]


def _route(role: Role) -> Object:
    rule = {
        "matches": [{"method": {"type": "Exact", "service": name}} for name in services_of(role)],
        "backendRefs": [{"name": role.name, "port": GRPC_PORT}],
    }
    spec = {"parentRefs": [{"name": GATEWAY, "sectionName": "grpc"}], "rules": [rule]}
    return resource("gateway.networking.k8s.io/v1", "GRPCRoute", role.name, {"spec": spec}, labels(role))
