"""Resolves Kafka's jars with jgo, run as a process of its own because jgo takes its folders from the environment."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def fetch(coordinates: str, cache: Path, target: Path) -> None:
    """Resolve Maven `coordinates` (joined by `+`) and place every jar in the folder `target`."""
    import jgo

    environment = jgo.build(coordinates, cache_dir=cache)
    # jgo sorts modular jars into a second folder; `environment.classpath` alone misses most of them.
    for folder in (environment.jars_dir, environment.modules_dir):
        for jar in Path(folder).glob("*.jar"):
            shutil.copyfile(jar, target / jar.name)


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
