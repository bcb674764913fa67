"""What is to be expected by the time of day or week: Holt-Winters smoothing that outliers do not lead astray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.core.anomaly.memory import Field, Float64Array, Int64Array, Memory, places_of
from services.core.anomaly.robust import FEWEST, Residual, clip, gain, judge, learn_sigma


@dataclass(frozen=True)
class HoltWinters:
    """Additive Holt-Winters (Winters, Management Science 6, 1960) without trend, robust after Gelper, Fried and Croux.

    expected = level + season[phase]; both learn from errors that were clipped first (2010, see `robust`). A trend is
    left out: over one window ahead it is less than the noise, and it would follow the very change that is looked for.
    Each phase has a spread of its own, as rush hours vary more than nights; it counts for `phase_prior` windows less
    than that of the entity as a whole. O(1) for each row; 2 + 3 x phases numbers of each entity.

    A phase may be the hour of the day (24) or of the week (168, `local_time`); the caller says which one a window has.
    """

    phases: int = 24
    level_rate: float = 0.02  # alpha: half of the level is of the last 35 windows
    season_rate: float = 0.1  # gamma
    sigma_rate: float = 0.01
    season_prior: float = 2.0  # windows of no deviation that each phase begins with
    phase_prior: float = 20.0  # windows of a phase after which its own spread counts as much as the whole entity's

    def __post_init__(self) -> None:
        if self.phases < 1:
            raise ValueError(f"at least one phase is needed, not {self.phases}")
        rates = (self.level_rate, self.season_rate, self.sigma_rate)
        if not all(0 < rate <= 1 for rate in rates):
            raise ValueError(f"rates must lie above 0 and not above 1: {rates}")

    @property
    def fields(self) -> tuple[Field, ...]:
        # Short numbers, as these are most of what is remembered.
        of_phases = (Field(f"seasonal.{n}", 0.0, self.phases, "<f4") for n in ("season", "phase_sigma", "phase_seen"))
        return (Field("seasonal.level"), Field("seasonal.sigma"), *of_phases)

    def step(
        self,
        memory: Memory,
        slot: Int64Array,
        phase: Int64Array,
        value: Float64Array,
        seen: Float64Array,
        floor: Float64Array,
    ) -> Residual:
        """Judges the next value of each of these entities, and takes it in. Shapes: (rows,); no NaN, each slot once."""
        level, sigma = memory.of("seasonal.level"), memory.of("seasonal.sigma")
        # One flat index is looked up several times as fast as a row and a column.
        of_phases = (memory.of(f"seasonal.{name}").reshape(-1) for name in ("season", "phase_sigma", "phase_seen"))
        season, phase_sigma, phase_seen = of_phases
        places, at = places_of(slot), slot * self.phases + phase
        in_phase, own, turn = (a[at].astype(np.float64) for a in (phase_seen, phase_sigma, season))
        base = np.where(seen == 0, value, level[places])
        trust = in_phase / (in_phase + self.phase_prior)
        residual = judge(value, base + turn, trust * own + (1 - trust) * sigma[places], seen, floor)
        clipped = clip(residual, seen)
        level[places] = base + gain(seen, self.level_rate) * clipped
        # Before the level has settled, a deviation is the level's.
        season_gain = np.where(seen < FEWEST, 0.0, gain(in_phase, self.season_rate, self.season_prior))
        season[at] = turn + season_gain * clipped
        phase_sigma[at] = learn_sigma(own, clipped, gain(in_phase, self.season_rate))
        sigma[places] = learn_sigma(sigma[places], clipped, gain(seen, self.sigma_rate))
        phase_seen[at] = in_phase + 1
        return residual
