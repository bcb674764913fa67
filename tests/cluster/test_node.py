"""overlays/dev on a real node: its containers run, are probed, find each other, are ended, and start again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.incident import first_incident
from tests.cluster.real import CITY, OURS, RealCity, is_ready, restarts, running_dev
from tests.deploy.rendering import label, of_kind, overlay
from tests.images.machine import CannotRunError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

ANSWER_TIMEOUT_S = 600.0
# The one container of ours that is killed here has far less than Python needs with what it imports.
TOO_LITTLE = "48Mi"
WHO_AM_I = """
import json, os, pathlib
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
try:
    pathlib.Path("/opt/urban/x").write_text("x")
    writes = True
except OSError:
    writes = False
print(json.dumps({"uid": os.getuid(), "capabilities": int(status["CapEff"], 16), "writes": writes}))
"""


@pytest.fixture(scope="module")
def city(kube: Path) -> Iterator[RealCity]:
    """overlays/dev, applied as the guide does, from images that were built here."""
    try:
        with running_dev(kube) as (city, ready_s):
            print(f"all of it ready {ready_s:.0f} s after it was applied; restarts: {restarts(city.pods(OURS))}")
            yield city
    except CannotRunError as error:
        pytest.skip(f"NOT TESTED: a node that runs pods: {error}")


def test_every_workload_is_ready_by_its_own_probes(city):
    told = {label(one) for one in of_kind(overlay("dev"), "Deployment", "StatefulSet", "Job")}
    assert {label(one) for one in city.plane.get("deployments,statefulsets,jobs", "-n", CITY)} == told
    running = [pod for pod in city.pods() if pod["status"]["phase"] != "Succeeded"]
    assert [pod["metadata"]["name"] for pod in running if not is_ready(pod)] == []


def test_a_container_has_no_right_that_it_could_do_without(city):
    told = json.loads(city.inside("deployment/traffic-api", "python", "-c", WHO_AM_I).stdout)
    assert told == {"uid": 10001, "capabilities": 0, "writes": False}


def test_what_a_pod_says_can_be_read_and_is_json(city):
    (pod,) = city.pods("app.kubernetes.io/name=traffic,app.kubernetes.io/component=processor")
    lines = city.plane.kubectl("-n", CITY, "logs", pod["metadata"]["name"]).stdout.splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)


def test_the_doctor_in_a_pod_finds_every_part_by_its_name(city):
    said = city.inside("deployment/community-api", "urban", "doctor")
    assert said.returncode in (0, 1), said.stdout + said.stderr


def test_observations_go_in_by_grpc_and_an_incident_comes_out(city, tmp_path):
    print(f"the incident came {first_incident(city, tmp_path):.0f} s after its observations")


def test_pods_that_are_deleted_come_back_and_nothing_is_lost(city):
    with city.load("deleted") as figures:
        for role in ("api", "processor", "archiver"):
            selector = f"app.kubernetes.io/name=traffic,app.kubernetes.io/component={role}"
            (pod,) = city.pods(selector)
            city.plane.kubectl("-n", CITY, "delete", "pod", pod["metadata"]["name"])
            print(f"{role} was back after {city.rolled_out():.0f} s")
    _all_arrived(city, "deleted", figures)


def test_a_rolling_update_under_load_loses_nothing_and_fails_no_call(city):
    with city.load("rolled") as figures:
        selector = "--selector=app.kubernetes.io/name=traffic"
        city.plane.kubectl("-n", CITY, "rollout", "restart", "deployment,statefulset", selector)
        print(f"rolled out in {city.rolled_out():.0f} s")
        time.sleep(5)
    _all_arrived(city, "rolled", figures)


def test_a_memory_limit_is_hit_and_seen(city):
    work, selector = "security-archiver", "app.kubernetes.io/name=security,app.kubernetes.io/component=archiver"
    small = {"requests": {"memory": TOO_LITTLE}, "limits": {"memory": TOO_LITTLE}}
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "archiver", "resources": small}]}}}}
    city.plane.kubectl("-n", CITY, "patch", "deployment", work, "--patch", json.dumps(patch))
    try:
        city.plane.wait("the kill", lambda: "OOMKilled" in _ends(city, selector), ANSWER_TIMEOUT_S)
    finally:
        city.plane.kubectl("-n", CITY, "rollout", "undo", f"deployment/{work}")
        city.rolled_out()


def _ends(city: RealCity, selector: str) -> set[str]:
    """Why containers of pods have ended."""
    states = [state for pod in city.pods(selector) for state in pod["status"].get("containerStatuses", [])]
    ends = [
        told["terminated"] for state in states for told in (state["state"], state["lastState"]) if "terminated" in told
    ]
    return {end["reason"] for end in ends}


def _all_arrived(city: RealCity, name: str, figures: dict[str, int]) -> None:
    """Each observation of the stream is stored and folded once, each call was answered and its row is stored."""
    print(figures)
    assert figures["sent"] > 0
    assert figures["accepted"] == figures["sent"]
    assert (figures["rejected"], figures["failed"]) == (0, 0)
    sent, calls = str(figures["sent"]), str(figures["calls"])
    of_stream, of_calls = f"city = '{name}' AND entity_id != 'single'", f"city = '{name}' AND entity_id = 'single'"
    for expected, statement in (
        (sent, f"SELECT count() FROM traffic.road_flow FINAL WHERE {of_stream}"),
        (calls, f"SELECT uniqExact(time) FROM traffic.road_flow FINAL WHERE {of_calls}"),
        (sent, f"SELECT sum(revision) FROM urban.v_road_flow_windows WHERE window = '1m' AND {of_stream}"),
    ):
        _comes_to(city, statement, expected)


def _comes_to(city: RealCity, statement: str, expected: str) -> None:
    city.plane.wait(
        statement,
        lambda: city.rows(statement) == [[expected]],
        ANSWER_TIMEOUT_S,
        lambda: f"{city.rows(statement)} instead of {expected}",
    )
