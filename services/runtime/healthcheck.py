"""Asks the service in this container whether it can do its work now: `python -m services.runtime.healthcheck`.

The answer is that of gRPC's health service, which follows what the role needs (services/runtime/readiness.py). It is
what the image's HEALTHCHECK runs; where probes speak gRPC by themselves, as in Kubernetes, nobody needs it. Exit
status: 0 it can, 1 it cannot or does not answer, and why.
"""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# Shorter than the image's own timeout, so that a silent server is told as one.
ANSWER_TIMEOUT_S = 3.0


def ask(address: str, timeout_s: float = ANSWER_TIMEOUT_S) -> str:
    """What is wrong with the server at `address` (host:port); empty: it serves."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            return f"{address} does not answer: {error.code().name}: {error.details()}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return f"{address} says {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


def main() -> int:
    """Ask the server of this container.

    It reads the one variable itself: all settings with their checks are half of what a question costs, and a machine
    that runs every role asks one of them every two seconds.
    """
    port = os.environ.get("URBAN_GRPC_PORT", "0")
    if port == "0":
        print("URBAN_GRPC_PORT is not set: a server on any free port cannot be asked", file=sys.stderr)
        return 1
    trouble = ask(f"127.0.0.1:{port}")
    print(trouble or "serving")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
