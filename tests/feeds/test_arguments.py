"""What the feed is asked for on its command line."""

from __future__ import annotations

import pytest

from services.feeds.__main__ import read_arguments

AUCKLAND = ["--community", "127.0.0.1:1", "--traffic", "127.0.0.1:2"]
OTHERS = ["--security", "127.0.0.1:3", "--environment", "127.0.0.1:4"]


def test_a_scenario_needs_the_addresses_of_all_services(capsys):
    with pytest.raises(SystemExit):
        read_arguments([*AUCKLAND, *OTHERS, "--scenario", "7"])
    assert "--scenario needs --correlation" in capsys.readouterr().err
    assert read_arguments([*AUCKLAND, *OTHERS, "--correlation", "127.0.0.1:5", "--scenario", "7"]).scenario == 7
