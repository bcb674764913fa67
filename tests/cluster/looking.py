"""Looks at what the pods of a domain have done: `python -m tests.cluster.looking SERVER FOLDER_OF_KEYS`.

Of the processor it tells each partition's watermark, which is how far results can have come; of the archiver how many
observations it has stored (see samples.py). Pods are found by the API server, as names know none that is not ready.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from services.cli.figures import Sample, scrape
from services.traffic.domain import ROAD_FLOW
from tests.cluster.samples import tell

INTERVAL_S = 0.25
METRICS_PORT = 9464
NAMESPACE = "urban"


class Archived:
    """Observations that all archivers have stored, whichever pod counted them."""

    def __init__(self) -> None:
        self._all = 0.0
        self._seen: dict[str, float] = {}

    def __call__(self, pod: str, samples: list[Sample]) -> dict[str, float]:
        stored = sum(s.value for s in samples if s.name == "urban_archived_observations_total")
        before = self._seen.get(pod, 0.0)
        # A container that was started again in the same pod counts from nothing.
        self._all += stored - before if stored >= before else stored
        self._seen[pod] = stored
        return {"archiver/all": self._all}


def watermarks(_: str, samples: list[Sample]) -> dict[str, float]:
    """Event time (s since 1970) that each partition has passed."""
    marks = [s for s in samples if s.name == "urban_watermark_timestamp_seconds" and s.labels["kind"] == ROAD_FLOW.name]
    return {f"processor/{s.labels['partition']}": s.value for s in marks}


class Cluster:
    """The API server, asked as its administrator."""

    def __init__(self, server: str, keys: Path) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cafile=str(keys / "ca.crt"))
        self._tls.load_cert_chain(keys / "admin.crt", keys / "admin.key")

    def addresses(self, component: str) -> dict[str, str]:
        """Address of each pod of a role of traffic, by the pod's name."""
        labels = f"app.kubernetes.io/name=traffic,app.kubernetes.io/component={component}"
        query = urllib.parse.urlencode({"labelSelector": labels})
        url = f"{self._server}/api/v1/namespaces/{NAMESPACE}/pods?{query}"
        with urllib.request.urlopen(url, timeout=10, context=self._tls) as answer:
            pods = json.load(answer)["items"]
        return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")}


def look(cluster: Cluster, component: str, figures: Callable[[str, list[Sample]], dict[str, float]]) -> None:
    """Look and tell, for ever."""
    while True:
        for pod, address in cluster.addresses(component).items():
            try:
                tell(figures(pod, scrape(f"http://{address}:{METRICS_PORT}/metrics")))
            except OSError:  # it begins or ends
                continue
        time.sleep(INTERVAL_S)


def main(server: str, keys: str) -> None:
    cluster = Cluster(server, Path(keys))
    archiver = threading.Thread(target=look, args=(cluster, "archiver", Archived()))
    archiver.start()
    look(cluster, "processor", watermarks)


if __name__ == "__main__":
    main(*sys.argv[1:])
