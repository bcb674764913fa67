"""One city's tables, made by the user `migrate`, for the tests of what each user may do."""

from __future__ import annotations

import pytest

from tests.integration.grants.engine import Engine


@pytest.fixture(scope="package")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    made = Engine(tmp_path_factory.mktemp("grants"))
    made.migrate()
    return made
