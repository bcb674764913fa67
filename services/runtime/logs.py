"""Structured log lines on standard error: JSON for machines, or coloured text for people; libraries' lines too."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

# Ours. Libraries speak of what they do at length: of those only warnings are told.
OWN = "services"
# Faust's services log in the name of the module that their classes lie in.
FAUST = "services.runtime.faust_driver"
# Every rebalance and every first group make these speak of errors that they then retry.
HARMLESS = ("aiokafka.consumer.group_coordinator",)


def configure_logs(form: Literal["json", "console"], level: str, **context: str) -> None:
    """Set up logging for the whole process; `context` (service, instance) is on every line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
