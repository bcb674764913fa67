"""The responder as it is, with the plans of this folder: `python -m tests.faults.story.responder`."""

from __future__ import annotations

import sys
from pathlib import Path

from services.correlation.plans import load_plans
from services.correlation.responder_role import ResponderRole
from services.runtime.catalogue import shared_topics
from services.runtime.service import run_service
from services.runtime.settings import Settings

PLANS = Path(__file__).with_name("plans")


class StoryResponder(ResponderRole):
    """Its clocks run out in seconds."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._plans = load_plans(PLANS)


if __name__ == "__main__":
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    sys.exit(run_service("correlation", settings, {"responder": StoryResponder(settings)}, shared_topics(())))
