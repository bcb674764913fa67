"""Signals out of windows: what detectors find, and what of it no longer holds when a window is revised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION
from services.core.kind import Detector, Kind
from services.core.signals import Evidence, Finding, Severity, Signal, signal_id
from services.core.windows import WindowBatch

Int64Array = NDArray[np.int64]


class Detection:
    """Runs the detectors of a kind and remembers what they raised until its window can no longer be revised."""

    def __init__(self, domain: str, kind: Kind) -> None:
        self._domain = domain
        self._kind = kind
        # By place of the detector in its kind and start of the window: slot -> severity.
        self._raised: dict[tuple[int, int], dict[int, int]] = {}

    def detect(self, batch: WindowBatch) -> list[Signal]:
        """Signals of a batch that was completed with attributes and baseline, and withdrawals of earlier ones.

        By detector, then in the order of the rows. ValueError names what the batch lacks.
        """
        signals: list[Signal] = []
        for place, detector in enumerate(self._kind.detectors):
            if detector.window == batch.window.name and len(batch):
                self._check(detector, batch)
                signals += self._judge(place, detector, batch)
        return signals

    def _check(self, detector: Detector, batch: WindowBatch) -> None:
        for name, _ in detector.attributes:
            if name not in batch.attributes:
                raise ValueError(f"detector {detector.name} needs the attribute {name}; the batch has none")
        baseline = self._kind.baseline
        if baseline and baseline.window == batch.window.name and batch.baseline is None:
            raise ValueError(f"detector {detector.name} needs the baseline of {baseline.measure}; the batch has none")

    def _judge(self, place: int, detector: Detector, batch: WindowBatch) -> Iterator[Signal]:
        finding = detector.find(batch)
        # A score that is no number is no finding.
        breached = finding.breached & ~np.isnan(finding.score)
        withdrawn = self._find_withdrawn(place, batch, breached)
        # The window before was weighed too: a late observation there makes a new revision here.
        revision = batch.revision.astype(np.int64)
        if REVISION in batch.history:
            revision = batch.history[REVISION].sum(axis=1).astype(np.int64)
        elif REVISION in batch.previous:
            revision = revision + batch.previous[REVISION].astype(np.int64)
        for row in np.flatnonzero(breached | withdrawn).tolist():
            start, slot = int(batch.start_ms[row]), int(batch.slot[row])
            if breached[row]:
                severity = int(finding.severity[row])
                self._raised.setdefault((place, start), {})[slot] = severity
            else:
                severity = self._raised[place, start].pop(slot)
            yield self._signal(detector, batch, finding, row, bool(withdrawn[row]), severity, int(revision[row]))

    def _find_withdrawn(self, place: int, batch: WindowBatch, breached: NDArray[np.bool_]) -> NDArray[np.bool_]:
        withdrawn = np.zeros(len(batch), np.bool_)
        for start in np.unique(batch.start_ms).tolist():
            raised = self._raised.get((place, start))
            if raised:
                mine = (batch.start_ms == start) & ~breached
                withdrawn |= mine & np.isin(batch.slot, np.fromiter(raised, np.int64, len(raised)))
        return withdrawn

    def _signal(
        self,
        detector: Detector,
        batch: WindowBatch,
        finding: Finding,
        row: int,
        withdrawn: bool,
        severity: int,
        revision: int,
    ) -> Signal:
        slot, start = int(batch.slot[row]), int(batch.start_ms[row])
        about = (batch.cities[slot], self._domain, self._kind.name)
        entity_id, window = batch.entity_ids[slot], batch.window
        return Signal(
            id=signal_id(*about, detector.name, entity_id, window.name, start),
            city=about[0],
            domain=self._domain,
            kind=self._kind.name,
            type=detector.name,
            entity_id=entity_id,
            window=window.name,
            start_ms=start,
            end_ms=int(batch.end_ms[row]),
            retracted=withdrawn,
            severity=Severity(severity),
            score=0.0 if withdrawn else float(finding.score[row]),
            evidence=_evidence(finding, row),
            revision=revision,
            detector_version=detector.version,
            model=finding.models[row] if finding.models else batch.baseline.model if batch.baseline else "",
        )

    def forget_final(self, watermark_ms: int) -> None:
        """Forgets what was raised of windows that can no longer be revised."""
        for place, start in [*self._raised]:
            window = self._kind.window(self._kind.detectors[place].window)
            if start + window.size_ms + self._kind.lateness_ms <= watermark_ms or not self._raised[place, start]:
                del self._raised[place, start]

    def to_array(self) -> Int64Array:
        """What is raised: rows of detector, start, slot, severity, in that order. Shape: (n, 4)."""
        rows = sorted((p, start, *item) for (p, start), slots in self._raised.items() for item in slots.items())
        return np.array(rows, np.int64).reshape(-1, 4)

    def names(self) -> list[str]:
        """What the numbers of detectors in to_array mean."""
        return [detector.name for detector in self._kind.detectors]

    def put(self, raised: Int64Array, names: Sequence[str]) -> None:
        """Puts back what to_array told, where detectors had these names. Of one that is no more nothing is kept."""
        places = [self.names().index(name) if name in self.names() else None for name in names]
        for number, start, slot, severity in raised.tolist():
            if (place := places[number]) is not None:
                self._raised.setdefault((place, start), {})[slot] = severity


def _evidence(finding: Finding, row: int) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            column.measure,
            float(column.value[row]),
            float(np.broadcast_to(column.threshold, finding.breached.shape)[row]),
            float("nan") if column.expected is None else float(column.expected[row]),
        )
        for column in finding.evidence
    )
