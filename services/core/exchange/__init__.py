"""What cities tell each other of incidents at their border, and which of these are one and the same.

A city tells a neighbour of an incident by a `Report`: no person, no entity, no place more exact than a cell of 5 km².
Two cities that hold the same reports of each other find the same shared incidents, ids included: README.md here beside.
"""

from services.core.exchange.board import Board
from services.core.exchange.border import Border
from services.core.exchange.pairing import FAMILIES, SLACK_MS, Pairing, SharedIncident, SharedState, linked
from services.core.exchange.report import LEAST_PEOPLE, MOST_CELLS, RESOLUTION, Facts, Report, report_of

__all__ = [
    "FAMILIES",
    "LEAST_PEOPLE",
    "MOST_CELLS",
    "RESOLUTION",
    "SLACK_MS",
    "Board",
    "Border",
    "Facts",
    "Pairing",
    "Report",
    "SharedIncident",
    "SharedState",
    "linked",
    "report_of",
]
