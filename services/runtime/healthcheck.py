"""Asks the service in this container whether it can do its work now: `python -m services.runtime.healthcheck`.

The answer is that of gRPC's health service, which follows what the role needs (services/runtime/readiness.py). It is
what the image's HEALTHCHECK runs; where probes speak gRPC by themselves, as in Kubernetes, nobody needs it. It asks at
URBAN_PROBE_PORT where that is set; else by TLS with URBAN_GRPC_TLS, whose certificate has to name 127.0.0.1 then. Exit
status: 0 it can, 1 it cannot or does not answer, and why.
"""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime.grpc_client import open_channel

# Shorter than the image's own timeout, so that a silent server is told as one.
ANSWER_TIMEOUT_S = 3.0


def ask(address: str, timeout_s: float = ANSWER_TIMEOUT_S, *, in_the_clear: bool = False) -> str:
    """What is wrong with the server at `address` (host:port); empty: it serves."""
    with grpc.insecure_channel(address) if in_the_clear else open_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            return f"{address} does not answer: {error.code().name}: {error.details()}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return f"{address} says {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


def main() -> int:
    """Ask the server of this container.

    It reads the variables itself: all settings with their checks are half of what a question costs, and a machine
    that runs every role asks one of them every two seconds.
    """
    probe_port = os.environ.get("URBAN_PROBE_PORT", "0")
    port = os.environ.get("URBAN_GRPC_PORT", "0") if probe_port == "0" else probe_port
    if port == "0":
        print("URBAN_GRPC_PORT is not set: a server on any free port cannot be asked", file=sys.stderr)
        return 1
    trouble = ask(f"127.0.0.1:{port}", in_the_clear=probe_port != "0")
    print(trouble or "serving")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
