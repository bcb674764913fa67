"""Apache Kafka as its official image runs it: server properties from KAFKA_* variables, data in KAFKA_LOG_DIRS."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from deploy.local.java import find_java
from deploy.local.kafka import JVM_FLAGS
from deploy.local.kafka_config import write_properties

PROPERTIES = Path("/opt/kafka/config/server.properties")
NO_PROPERTIES = ("KAFKA_HEAP_OPTS",)
# What the official image takes where it is told none (docker/resources/common-scripts/configureDefaults).
DEFAULT_CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"


def property_name(variable: str) -> str:
    """KAFKA_LOG_DIRS -> log.dirs; two underscores are one, three are a hyphen (docker/examples in Apache Kafka)."""
    words = variable.removeprefix("KAFKA_").lower()
    return words.replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_")


def main() -> None:
    """Format the data folder if it is new, then become the broker."""
    told = {name: value for name, value in os.environ.items() if name.startswith("KAFKA_")}
    write_properties(PROPERTIES, {property_name(name): told[name] for name in told if name not in NO_PROPERTIES})
    java, classpath = find_java(), os.environ["URBAN_KAFKA_CLASSPATH"]
    common = [java, *JVM_FLAGS, *shlex.split(os.environ.get("KAFKA_HEAP_OPTS", "")), "-cp", classpath]
    cluster = os.environ.get("CLUSTER_ID", DEFAULT_CLUSTER_ID)
    storage = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster]
    subprocess.run([*common, *storage, "-c", str(PROPERTIES)], check=True)
    os.execv(java, [*common, "kafka.Kafka", str(PROPERTIES)])


if __name__ == "__main__":
    main()
