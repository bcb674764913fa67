"""What every test shares: how hard Hypothesis searches, and that it gives the same answer everywhere."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.examples import SHARE

# A busy machine is slow, not wrong, so no test is judged by the time that it takes.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# The default tries the same examples everywhere: a red result on one machine is red on every other.
_EXAMPLES = round(100 * SHARE)
settings.register_profile("ci", _PATIENT, max_examples=_EXAMPLES, derandomize=True, database=None, print_blob=True)
# `pytest --hypothesis-profile=explore` searches further, anew each time, and remembers what it found.
settings.register_profile("explore", _PATIENT, max_examples=1000)
settings.load_profile("ci")
