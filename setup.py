"""Builds the distribution: makes the Python code of the contracts first, then lists the packages of a wheel.

All other metadata is in `pyproject.toml`. The generated package lies in `build/proto`, which an editable install
maps as a folder: a contract that is added later needs `make proto` and no new installation.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "proto"))

# It lies beside the contracts, in no importable package.
import generate  # type: ignore[import-not-found]  # noqa: E402

# setuptools looks into the folders of all packages before it runs any build step, so they have to be there now.
generate.generate()

setup(
    packages=[
        *find_packages(include=["services", "services.*", "deploy", "deploy.local", "deploy.local.*"]),
        *generate.list_packages(),
    ],
    package_dir={"urban": "build/proto/urban"},
    include_package_data=False,
)
