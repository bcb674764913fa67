"""Holds the code to the direction of imports: service → runtime → core, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.layers import FAUST_FILES, TRACES_FILE, find_violations
from tests.architecture.sources import read_sources

ROOT = Path(__file__).resolve().parents[2]


def test_every_module_keeps_to_its_layer():
    assert read_sources(ROOT), "no module found: the test would pass on nothing"
    assert [str(found) for found in find_violations(ROOT)] == []


PLANTED = [
    # core: the pure part of the standard library, numpy, h3 and itself
    ("services/core/a.py", "import asyncio", "asyncio"),
    ("services/core/a.py", "import time", "time"),
    ("services/core/a.py", "import os.path", "os.path"),
    ("services/core/a.py", "from random import choice", "random.choice"),
    ("services/core/a.py", "import logging", "logging"),
    ("services/core/a.py", "import socket", "socket"),
    ("services/core/a.py", "from pathlib import Path", "pathlib.Path"),
    ("services/core/a.py", "import pyarrow", "pyarrow"),
    ("services/core/a.py", "from urban.traffic.v1 import road_flow_pb2", "urban.traffic.v1.road_flow_pb2"),
    ("services/core/a.py", "from services.runtime import topics", "services.runtime.topics"),
    ("services/core/a.py", "from services import runtime", "services.runtime"),
    ("services/core/deep/a.py", "from ...runtime import topics", "services.runtime.topics"),
    ("services/core/a.py", "def f():\n    import time", "time"),
    ("services/core/a.py", "from datetime import datetime\nx = datetime.now()", "datetime.datetime.now"),
    ("services/core/a.py", "import datetime as d\nx = d.date.today()", "datetime.date.today"),
    ("services/core/a.py", "from uuid import uuid4 as new\ndef f():\n    return new()", "uuid.uuid4"),
    ("services/core/a.py", "import numpy as np\nx = np.random.default_rng()", "numpy.random.default_rng"),
    ("services/core/a.py", "from numpy.random import default_rng", "numpy.random.default_rng"),
    ("services/core/a.py", "def f(key: str) -> int:\n    return hash(key)", "hash"),
    ("services/core/a.py", "def f():\n    return open('x')", "open"),
    # the declaration of a domain is as pure as core
    ("services/traffic/domain.py", "from services.runtime import topics", "services.runtime.topics"),
    ("services/traffic/indices.py", "import asyncio", "asyncio"),
    ("services/climate/detectors.py", "import grpc", "grpc"),
    ("services/climate/indices/air.py", "from services.climate import api", "services.climate.api"),
    ("services/climate/indices/deep/air.py", "x = open('x')", "open"),
    ("services/traffic/domain.py", "from services.traffic import api", "services.traffic.api"),
    # the direction between rooms
    ("services/runtime/a.py", "from services.traffic.domain import TRAFFIC", "services.traffic.domain.TRAFFIC"),
    ("services/runtime/a.py", "import importlib\nx = importlib.import_module('services.cli')", "services.cli"),
    ("services/traffic/api.py", "from services.community import domain", "services.community.domain"),
    ("services/traffic/api.py", "from services.cli.main import app", "services.cli.main.app"),
    ("services/correlation/a.py", "from services.feeds import replay", "services.feeds.replay"),
    ("services/traffic/api.py", "import tests.fakes", "tests.fakes"),
    ("deploy/local/a.py", "from services.runtime import settings", "services.runtime.settings"),
    # Faust
    ("services/runtime/a.py", "import faust", "faust"),
    ("services/traffic/processor.py", "from mode.utils import logging", "mode.utils.logging"),
    ("services/cli/a.py", "def f():\n    from faust import App", "faust.App"),
    # OpenTelemetry
    ("services/runtime/tracing.py", "def f():\n    from opentelemetry import trace", "opentelemetry.trace"),
    # connections
    ("services/runtime/a.py", "import grpc\nCHANNEL = grpc.insecure_channel('x')", "grpc.insecure_channel"),
    ("services/runtime/a.py", "import clickhouse_connect as c\nclass A:\n    x = c.get_client()", "get_client"),
    ("services/runtime/a.py", "from grpc import aio\nif True:\n    S = aio.server()", "grpc.aio.server"),
    ("services/runtime/a.py", "from x import connect\ndef f(client=connect()):\n    pass", "x.connect"),
    ("deploy/local/a.py", "import subprocess\nP = subprocess.Popen(['x'])", "subprocess.Popen"),
]


@pytest.mark.parametrize(("path", "text", "named"), PLANTED)
def test_a_planted_violation_is_found(tmp_path, path, text, named):
    _plant(tmp_path, path, text)
    found = find_violations(tmp_path)
    assert found
    assert {violation.path for violation in found} == {path}
    assert any(named in violation.reason for violation in found)


PERMITTED = [
    ("services/core/a.py", "import h3\nimport numpy as np\nfrom services.core.windows import Window"),
    ("services/core/a.py", "from datetime import UTC, datetime\nx = datetime.fromtimestamp(0, UTC)"),
    ("services/core/a.py", "def f(ring):\n    return ring.open(3)"),
    ("services/traffic/domain.py", "from services.core.kind import Kind\nfrom services.traffic.indices import delay"),
    ("services/climate/domain.py", "from services.climate.indices.air import index"),
    ("services/climate/indices/air.py", "import numpy\nfrom services.climate.indices.tables import TABLE"),
    (
        "services/traffic/api.py",
        "import asyncio\nfrom services.runtime import topics\nfrom services.traffic import domain",
    ),
    (
        "services/runtime/a.py",
        "from services.core import windows\nimport grpc\ndef f():\n    grpc.insecure_channel('x')",
    ),
    ("services/runtime/a.py", "import modest\nimport faustian"),
    ("services/cli/main.py", "from services.runtime import topics\nfrom services.feeds import replay"),
    ("services/cli/__main__.py", "import asyncio\nif __name__ == '__main__':\n    asyncio.run(None)"),
    (TRACES_FILE, "from opentelemetry import trace"),
    *((path, "import faust\nfrom mode import Service") for path in FAUST_FILES),
]


@pytest.mark.parametrize(("path", "text"), PERMITTED)
def test_what_is_permitted_is_not_reported(tmp_path, path, text):
    _plant(tmp_path, path, text)
    assert find_violations(tmp_path) == []


def _plant(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
