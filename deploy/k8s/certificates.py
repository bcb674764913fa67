"""components/certificates: who signs what the parts show each other, and the Secret of each part, by cert-manager.

Who makes the Secrets by other means leaves the component out. Each has ca.crt, tls.crt and tls.key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploy.k8s.clickhouse import HOST, INSTALLATION, TLS_SECRET
from deploy.k8s.grpc_tls import GATEWAY_SECRET, callable_roles, host_of, secret_of
from deploy.k8s.objects import Object, resource
from deploy.k8s.roles import City

API_VERSION = "cert-manager.io/v1"
AUTHORITY, SELF_SIGNED = "urban-authority", "urban-self-signed"
NAMESPACE = "urban"
REPLICAS = 3
# Ninety days, anew a month before the end: pods see the new files within minutes, and take them without a restart.
DURATION, RENEW_BEFORE = "2160h", "720h"
# Ten years; a new authority is a rollout (deploy/README.md).
AUTHORITY_DURATION = "87600h"


def certificates(city: City) -> list[Object]:
    """The authority, and a certificate for each part that is called or calls."""
    replicas = [HOST.removesuffix("-0") + f"-{replica}" for replica in range(REPLICAS)]
    # The operator's service over all replicas, and what they call one another.
    shards = [name for host in (f"clickhouse-{INSTALLATION}", *replicas) for name in _names(host)]
    return [
        _issuer(SELF_SIGNED, {"selfSigned": {}}),
        _authority(),
        _issuer(AUTHORITY, {"ca": {"secretName": AUTHORITY}}),
        _certificate(TLS_SECRET, TLS_SECRET, [*shards, "localhost"], ["server auth"]),
        _certificate(GATEWAY_SECRET, GATEWAY_SECRET, [GATEWAY_SECRET], ["client auth"]),
        *(
            # A pod's own certificate is the one with which `urban` in it calls.
            _certificate(secret_of(role), role.name, [*_names(role.name), "localhost"], ["server auth", "client auth"])
            for role in callable_roles(city)
        ),
    ]


def _names(service: str) -> list[str]:
    return [service, f"{service}.{NAMESPACE}", f"{service}.{NAMESPACE}.svc", host_of(service)]


def _issuer(name: str, spec: dict[str, Any]) -> Object:
    return resource(API_VERSION, "Issuer", name, {"spec": spec})


def _authority() -> Object:
    spec = {
        "isCA": True,
        "commonName": AUTHORITY,
        "secretName": AUTHORITY,
        "duration": AUTHORITY_DURATION,
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "issuerRef": {"kind": "Issuer", "name": SELF_SIGNED},
    }
    return resource(API_VERSION, "Certificate", AUTHORITY, {"spec": spec})


def _certificate(secret: str, name: str, hosts: Sequence[str], usages: Sequence[str]) -> Object:
    spec = {
        "secretName": secret,
        "commonName": name,
        "dnsNames": list(hosts),
        "duration": DURATION,
        "renewBefore": RENEW_BEFORE,
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "usages": ["digital signature", *usages],
        "issuerRef": {"kind": "Issuer", "name": AUTHORITY},
    }
    return resource(API_VERSION, "Certificate", secret, {"spec": spec})
