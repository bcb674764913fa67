"""Structured log lines on standard error: JSON for machines, or coloured text for people; libraries' lines too."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Literal

import structlog

from services.runtime import tracing

# Ours. Libraries speak of what they do at length: of those only warnings are told.
OWN = "services"
# Faust's services log in the name of the module that their classes lie in.
FAUST = "services.runtime.faust_driver"
# Every rebalance and every first group make these speak of errors that they then retry.
HARMLESS = ("aiokafka.consumer.group_coordinator",)
# While a broker is away they say the same ten times a second.
REPETITION_S = 10.0
LONGEST_MEMORY = 1000  # different sayings


def configure_logs(form: Literal["json", "console"], level: str, **context: str) -> None:
    """Set up logging for the whole process; `context` (service, instance) is on every line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        tracing.add_ids,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        lambda _logger, _method, event: {**context, **event},
    ]
    renderer: structlog.typing.Processor
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # Plain: the richer ones print every local variable, arrays of a partition's state among them.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(SeldomTheSame())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN).setLevel(level.upper())
    logging.getLogger(FAUST).setLevel(logging.WARNING)
    for name in HARMLESS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class SeldomTheSame(logging.Filter):
    """Lets a library say the same thing once in a while only, and then with how often it was said since."""

    def __init__(self, interval_s: float = REPETITION_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval_s, self._clock = interval_s, clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # when it was told last, and how often not told

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == OWN or record.name.startswith(f"{OWN}."):
            return True
        now, said = self._clock(), (record.name, str(record.msg))
        told_s, untold = self._told.get(said, (-self._interval_s, 0))
        if now - told_s < self._interval_s:
            self._told[said] = told_s, untold + 1
            return False
        if len(self._told) >= LONGEST_MEMORY:
            self._told.clear()
        self._told[said] = now, 0
        if untold:
            record.msg = f"{record.msg} [{untold} times more since this was told last]"
        return True
