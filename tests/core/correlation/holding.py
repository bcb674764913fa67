"""Signals of a state as a checkpoint has them."""

from __future__ import annotations

from services.core.correlation.state import SignalChanges
from services.correlation.checkpoint import Saved
from services.correlation.held_signals import Held, HeldSignals


def held_of(saved: Saved) -> Held:
    """All that its rules hold, and nothing that was written before."""
    states = (*saved.state.rules, *saved.shadow_states)
    return HeldSignals().take({number: SignalChanges(state.signals, ()) for number, state in enumerate(states)})
