"""overlays/dev on three nodes that only say they run pods: what the control plane itself makes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import simulated
from tests.cluster.box import Box
from tests.cluster.control_plane import ControlPlane
from tests.deploy.rendering import K8S, Object, label, named, of_kind, overlay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CITY = "urban"
PART = "app.kubernetes.io/part-of=urban-brain"


@pytest.fixture(scope="module")
def city(kube: Path) -> Iterator[Deployed]:
    """overlays/dev, applied as the guide does, on nodes that were there before it."""
    with Box("dev") as box:
        plane = ControlPlane(box, kube)
        plane.start()
        simulated.join(plane)
        plane.kubectl("apply", "--server-side", "--kustomize", str(K8S / "overlays" / "dev"))
        print(f"rolled out {simulated.rolled_out(plane, CITY):.1f} s after it was applied")
        yield Deployed(plane)


class Deployed:
    """An overlay as a control plane runs it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    def works(self, *kinds: str) -> list[Object]:
        """Its workloads as the server has them."""
        return self.plane.get(",".join(kinds).lower(), "-n", CITY)

    def pods(self) -> list[Object]:
        """Pods that are not on their way out."""
        found = self.plane.get("pods", "-n", CITY)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def of_work(pods: list[Object], work: Object) -> list[Object]:
    """Those of a workload."""
    wanted = work["spec"]["selector"]["matchLabels"].items()
    return [pod for pod in pods if wanted <= pod["metadata"]["labels"].items()]


def nodes_of(pods: list[Object]) -> list[str]:
    """Where they run."""
    return [pod["spec"]["nodeName"] for pod in pods]


def test_every_workload_runs_and_nothing_is_refused(city):
    told = {label(one) for one in of_kind(overlay("dev"), "Deployment", "StatefulSet", "Job")}
    assert {label(one) for one in city.works("Deployment", "StatefulSet", "Job")} == told
    assert [told for told in simulated.warnings(city.plane, CITY) if told.startswith("FailedCreate")] == []


def test_claims_find_volumes(city):
    claims = city.plane.get("persistentvolumeclaims", "-n", CITY)
    asked = [one for one in of_kind(overlay("dev"), "StatefulSet") if "volumeClaimTemplates" in one["spec"]]
    assert len(claims) == sum(work["spec"]["replicas"] * len(work["spec"]["volumeClaimTemplates"]) for work in asked)
    assert {claim["status"]["phase"] for claim in claims} <= {"Bound"}


def test_pods_of_a_role_are_spread_over_zones(city):
    pods = city.pods()
    for work in city.works("Deployment", "StatefulSet"):
        where = nodes_of(of_work(pods, work))
        assert len(set(where)) == min(len(where), simulated.NODES), label(work)


def test_a_pod_that_is_not_restricted_never_comes_to_be(city):
    """A Deployment is admitted, its pods are not: so it is the rollout that has to be looked at."""
    wrong = named(overlay("dev"), "Deployment", "traffic-api")
    spec = {**wrong["spec"]["template"]["spec"], "securityContext": {"runAsUser": 0}}
    labels = {"app": "wrong"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    city.plane.apply(
        [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "wrong", "namespace": CITY},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
            }
        ]
    )
    try:
        city.plane.wait(
            "the refusal",
            lambda: any(
                told.startswith("FailedCreate wrong-") and 'violates PodSecurity "restricted' in told
                for told in simulated.warnings(city.plane, CITY)
            ),
            60,
        )
        assert city.plane.get("pods", "-n", CITY, "--selector=app=wrong") == []
    finally:
        city.plane.kubectl("-n", CITY, "delete", "deployment", "wrong")


def test_a_rolling_update_leaves_no_role_without_a_pod(city):
    """As far as budgets and strategies promise it: never fewer ready pods than wanted for an api, one fewer else."""
    works = [work for work in city.works("Deployment", "StatefulSet") if _is_ours(work)]
    with Watched(city, works) as watched:
        city.plane.kubectl("-n", CITY, "rollout", "restart", "deployment,statefulset", f"--selector={PART}")
        simulated.rolled_out(city.plane, CITY)
    for work in works:
        strategy = work["spec"].get("strategy", {}).get("rollingUpdate", {})
        spared = 0 if strategy.get("maxUnavailable") == 0 else 1
        assert watched.fewest[work["metadata"]["name"]] >= work["spec"]["replicas"] - spared, label(work)
    assert watched.looks > 3


def test_budgets_let_a_node_be_drained_and_keep_the_rest_of_each_role(city):
    works = [work for work in city.works("Deployment", "StatefulSet") if _is_ours(work)]
    node = nodes_of(of_work(city.pods(), works[0]))[0]
    budgets = {one["metadata"]["name"]: one for one in city.plane.get("poddisruptionbudgets", "-n", CITY)}
    assert {budgets[work["metadata"]["name"]]["status"]["disruptionsAllowed"] for work in works} == {1}
    try:
        with Watched(city, works) as watched:
            drained = city.plane.kubectl(
                "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s", check=False
            )
            assert drained.returncode == 0, drained.stderr
            simulated.rolled_out(city.plane, CITY)
        assert node not in nodes_of([pod for pod in city.pods() if pod["status"]["phase"] == "Running"])
        for work in works:
            assert watched.fewest[work["metadata"]["name"]] >= work["spec"]["replicas"] - 1, label(work)
    finally:
        city.plane.kubectl("uncordon", node)


def test_a_budget_that_allows_nothing_holds_a_drain_up(city):
    """The control of the test above: that a drain asks the budgets at all."""
    work = named(overlay("dev"), "PodDisruptionBudget", "traffic-api")
    (api,) = city.plane.get("deployment", "traffic-api", "-n", CITY)
    node = nodes_of(of_work(city.pods(), api))[0]
    strict = {**work, "spec": {**work["spec"], "maxUnavailable": 0}}
    city.plane.apply([strict], "--force-conflicts")
    selector = "app.kubernetes.io/name=traffic,app.kubernetes.io/component=api"
    try:
        city.plane.wait("the budget", lambda: _allowed(city, "traffic-api") == 0, 60)
        refused = city.plane.kubectl(
            "drain", node, f"--pod-selector={selector}", "--delete-emptydir-data", "--timeout=10s", check=False
        )
        assert refused.returncode != 0
        assert "violate the pod's disruption budget" in refused.stderr
    finally:
        city.plane.kubectl("uncordon", node)
        city.plane.apply([work], "--force-conflicts")


def _allowed(city: Deployed, name: str) -> int:
    (budget,) = city.plane.get("poddisruptionbudget", name, "-n", CITY)
    status = budget["status"]
    if status.get("observedGeneration") != budget["metadata"]["generation"]:
        return -1
    return int(status["disruptionsAllowed"])


def _is_ours(work: Object) -> bool:
    return bool(work["metadata"]["labels"].get("app.kubernetes.io/part-of") == "urban-brain")


class Watched:
    """Looks as often as it can at how many pods of each role are ready, until it is left."""

    def __init__(self, city: Deployed, works: list[Object]) -> None:
        self._city = city
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.fewest = {work["metadata"]["name"]: work["spec"]["replicas"] for work in works}
        self.looks = 0

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.is_set():
            for work in self._city.works("Deployment", "StatefulSet"):
                name = work["metadata"]["name"]
                if name in self.fewest:
                    self.fewest[name] = min(self.fewest[name], work["status"].get("readyReplicas", 0))
            self.looks += 1
            time.sleep(0.1)
