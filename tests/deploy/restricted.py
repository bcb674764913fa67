"""The Pod Security Standard "restricted", and what we ask of every pod beyond it, as faults of a pod's template.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/ (2026-11), as far as it concerns Linux pods
that ask for nothing special.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.deploy.rendering import Object, containers

OPEN_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def faults(workload: Object) -> list[str]:
    """What Pod Security would refuse in the workload's pods."""
    pod = workload["spec"]["template"]["spec"]
    return [*_of_pod(pod), *(fault for one in containers(workload) for fault in _of_container(one, pod))]


def _of_pod(pod: Object) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield name
    for volume in pod.get("volumes", ()):
        if not set(volume) - {"name"} <= OPEN_VOLUMES:
            yield f"volume {volume['name']}"


def _of_container(container: Object, pod: Object) -> Iterator[str]:
    given = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    if given.get("privileged"):
        yield f"{container['name']}: privileged"
    if given.get("allowPrivilegeEscalation") is not False:
        yield f"{container['name']}: allowPrivilegeEscalation"
    if given.get("runAsNonRoot") is not True or given.get("runAsUser") == 0:
        yield f"{container['name']}: may run as root"
    if given.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{container['name']}: no seccomp profile"
    if given.get("capabilities", {}).get("drop") != ["ALL"]:
        yield f"{container['name']}: keeps capabilities"
    if set(given.get("capabilities", {}).get("add", ())) - {"NET_BIND_SERVICE"}:
        yield f"{container['name']}: adds capabilities"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield f"{container['name']}: hostPort"


def loose_ends(workload: Object) -> list[str]:
    """What is ours to ask for: requests, a limit of memory, no token, a root file system that nobody writes to."""
    pod = workload["spec"]["template"]["spec"]
    found = [] if pod.get("automountServiceAccountToken") is False else ["a token is mounted"]
    found += [] if pod.get("enableServiceLinks") is False else ["variables of other services"]
    for one in containers(workload):
        resources = one.get("resources", {})
        if set(resources.get("requests", {})) != {"cpu", "memory"} or "memory" not in resources.get("limits", {}):
            found.append(f"{one['name']}: requests and a limit of memory")
        if one["image"].endswith(":latest"):
            found.append(f"{one['name']}: image {one['image']}")
    return found
