"""Signals out of windows: what detectors find, and what of it no longer holds when a window is revised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.aggregates import REVISION
from services.core.anomaly.heartbeats import Heartbeats, Missing
from services.core.anomaly.silence import SPAN, Silence, Silences
from services.core.cities import Cities
from services.core.following.course import Course
from services.core.following.memories import of_owner
from services.core.following.steps import Told
from services.core.kind import Detector, Kind
from services.core.signals import Evidence, Finding, Severity, Signal, signal_id
from services.core.state import MEMORY, PartitionState
from services.core.windows import WindowBatch

Int64Array = NDArray[np.int64]

# How arrays of silences and of heartbeats are named among those of followers.
HEARD = "heard"
BEATS = "beats"
_SEVERITY = {severity.value: severity for severity in Severity}


class _Rows(NamedTuple):
    """Windows that a detector has judged. Arrays: (rows,)."""

    slot: Int64Array
    start_ms: Int64Array
    end_ms: Int64Array
    revision: Callable[[Int64Array], Int64Array]  # of some of the rows


class _About(NamedTuple):
    """What the signals of a detector have in common."""

    domain: str
    kind: str
    detector: str
    window: str

    def signal_id(self, city: str, entity_id: str, start_ms: int) -> str:
        return signal_id(city, self.domain, self.kind, self.detector, entity_id, self.window, start_ms)


class Detection:
    """Runs the detectors of a kind and remembers what they raised until its window can no longer be revised."""

    def __init__(self, domain: str, kind: Kind, cities: Cities) -> None:
        self._domain = domain
        self._kind = kind
        # By place of the detector in its kind and start of the window: slot -> severity.
        self._raised: dict[tuple[int, int], dict[int, int]] = {}
        followers = {place: d for place, d in enumerate(kind.detectors) if d.follower is not None}
        self._courses = {
            window.name: Course(kind, window, mine, cities)
            for window in kind.windows
            if (mine := {place: d for place, d in followers.items() if d.window == window.name})
        }
        self._silences = {
            w.name: Silences(w.slide_ms, kind.lateness_ms)
            for w in kind.windows
            if any(d.silence and d.window == w.name for d in kind.detectors)
        }
        self._heartbeats = {
            w.name: Heartbeats(d.heartbeat, w.size_ms, w.slide_ms, kind.lateness_ms)
            for w in kind.windows
            for d in kind.detectors
            if d.heartbeat is not None and d.window == w.name
        }
        self.changes = 0  # another number when what followers remember may have changed

    def detect(self, batch: WindowBatch) -> list[Signal]:
        """Signals of a batch that was completed with attributes, labels and baseline, and withdrawals of earlier ones.

        By detector, then in the order of the rows. ValueError names what the batch lacks.
        """
        mine = [(p, d) for p, d in enumerate(self._kind.detectors) if d.window == batch.window.name]
        if not len(batch):
            mine = [(place, detector) for place, detector in mine if detector.listens]
        for _, detector in mine if len(batch) else ():
            self._check(detector, batch)
        followed = self._follow(batch)
        signals: list[Signal] = []
        for place, detector in mine:
            if detector.find is not None and self._is_to_be_asked(place, detector, batch):
                signals += self._tell(place, detector, batch, _rows_of(batch), detector.find(batch))
            for told in followed.get(place, ()):
                signals += self._tell(place, detector, batch, _rows_told(told, batch.window.size_ms), told.finding)
            if detector.listens and batch.ended_ms is not None:
                signals += self._listen(place, detector, batch, batch.ended_ms)
        return signals

    def _is_to_be_asked(self, place: int, detector: Detector, batch: WindowBatch) -> bool:
        """Whether it may find something here, or has raised what it may withdraw now."""
        return detector.may_find is None or detector.may_find(batch) or self._has_raised(place, batch.start_ms)

    def _has_raised(self, place: int, start_ms: Int64Array) -> bool:
        """Whether anything of windows between the first and the last of these. Shape: (rows,), ascending."""
        if not len(start_ms):
            return False
        first_ms, last_ms = int(start_ms[0]), int(start_ms[-1])
        return any(p == place and first_ms <= s <= last_ms and told for (p, s), told in self._raised.items())

    def _listen(self, place: int, detector: Detector, batch: WindowBatch, ended_ms: int) -> Iterator[Signal]:
        """Who has fallen silent, and who has not after all."""
        self.changes += 1
        window, rows = batch.window, (batch.slot, batch.start_ms)
        found: Iterator[Silence | Missing]
        if detector.heartbeat is None:
            found, span_ms = self._silences[window.name].take(*rows, ended_ms), SPAN * window.slide_ms
        else:
            period_s = batch.attributes[detector.heartbeat.number] if len(batch) else np.empty(0, np.float64)
            listener, span_ms = self._heartbeats[window.name], window.size_ms
            found = listener.take(*rows, batch.measures, period_s, ended_ms)
        for told in found:
            yield from self._tell(place, detector, batch, _rows_told(told, span_ms), told.finding)

    def _follow(self, batch: WindowBatch) -> dict[int, list[Told]]:
        """What followers say, by their place."""
        found: dict[int, list[Told]] = {}
        course = self._courses.get(batch.window.name)
        if course is not None and len(batch):
            self.changes += 1
            for told in course.take(batch):
                found.setdefault(told.place, []).append(told)
        return found

    def _check(self, detector: Detector, batch: WindowBatch) -> None:
        for name, _ in detector.attributes:
            if name not in batch.attributes:
                raise ValueError(f"detector {detector.name} needs the attribute {name}; the batch has none")
        if detector.follower is not None:
            if (label := detector.follower.label) and label not in batch.labels:
                raise ValueError(f"detector {detector.name} needs the label {label}; the batch has none")
            return
        baseline = self._kind.baseline
        if baseline and baseline.window == batch.window.name and batch.baseline is None:
            raise ValueError(f"detector {detector.name} needs the baseline of {baseline.measure}; the batch has none")

    def _tell(
        self, place: int, detector: Detector, batch: WindowBatch, rows: _Rows, finding: Finding
    ) -> Iterator[Signal]:
        if not finding.breached.any() and not self._has_raised(place, rows.start_ms):
            return
        # A score that is no number is no finding.
        breached = finding.breached & ~np.isnan(finding.score)
        withdrawn = self._find_withdrawn(place, rows, breached)
        some = np.flatnonzero(breached | withdrawn)
        if not len(some):
            return
        about = _About(self._domain, self._kind.name, detector.name, batch.window.name)
        model = _model_of(batch, detector)
        columns = (rows.slot, rows.start_ms, rows.end_ms, breached, withdrawn, finding.severity, finding.score)
        told = zip(
            some.tolist(),
            *(column[some].tolist() for column in columns),
            rows.revision(some).tolist(),
            _evidence(finding, some),
            strict=True,
        )
        for row, slot, start, end, found, gone, severity, score, revision, evidence in told:
            if found:
                self._raised.setdefault((place, start), {})[slot] = severity
            else:
                severity = self._raised[place, start].pop(slot)
            city, entity_id = batch.cities[slot], batch.entity_ids[slot]
            yield Signal(
                id=about.signal_id(city, entity_id, start),
                city=city,
                domain=about.domain,
                kind=about.kind,
                type=about.detector,
                entity_id=entity_id,
                window=about.window,
                start_ms=start,
                end_ms=end,
                retracted=gone,
                severity=_SEVERITY[severity],
                score=0.0 if gone else score,
                evidence=evidence,
                revision=revision,
                detector_version=detector.version,
                model=finding.models[row] if finding.models else model,
            )

    def _find_withdrawn(self, place: int, rows: _Rows, breached: NDArray[np.bool_]) -> NDArray[np.bool_]:
        withdrawn = np.zeros(len(rows.slot), np.bool_)
        for (of_place, start), raised in self._raised.items():
            if of_place == place and raised and len(mine := np.flatnonzero(rows.start_ms == start)):
                slots = np.fromiter(raised, np.int64, len(raised))
                withdrawn[mine] = ~breached[mine] & np.isin(rows.slot[mine], slots)
        return withdrawn

    def settle(self, watermark_ms: int) -> None:
        """Followers take in for good what can no longer be revised; all batches up to the watermark were detected."""
        for course in self._courses.values():
            self.changes += course.settle(watermark_ms)

    def idle_ms(self, slots: int) -> Int64Array | None:
        """By slot, for how long each might have been forgotten; negative: it may be asked for. None: nobody asks."""
        asked = [owner.idle_ms(slots) for owner in self._who_remember()]
        return reduce(np.minimum, asked) if asked else None

    def forget(self, slots: Int64Array) -> None:
        """These slots are free."""
        if len(slots):
            self.changes += len(self._courses) + len(self._silences) + len(self._heartbeats)
            for owner in self._who_remember():
                owner.forget(slots)
            free = set(slots.tolist())
            for (place, _), raised in self._raised.items():
                if self._kind.detectors[place].listens:  # told of windows that hold no slot
                    for slot in free & raised.keys():
                        del raised[slot]

    def _who_remember(self) -> list[Course | Silences | Heartbeats]:
        return [*self._courses.values(), *self._silences.values(), *self._heartbeats.values()]

    def _who_listen(self) -> Iterator[tuple[str, Silences | Heartbeats]]:
        """Each with the beginning of the names of its arrays."""
        yield from ((f"{MEMORY}{window}.{HEARD}", one) for window, one in self._silences.items())
        yield from ((f"{MEMORY}{window}.{BEATS}", one) for window, one in self._heartbeats.items())

    def memory(self) -> tuple[dict[str, NDArray[Any]], dict[str, Sequence[str]]]:
        """What followers remember, as arrays and texts, once it is settled."""
        arrays: dict[str, NDArray[Any]] = {}
        texts: dict[str, Sequence[str]] = {}
        for window, course in self._courses.items():
            if len(course):
                arrays |= {f"{MEMORY}{window}.{name}": array for name, array in course.to_arrays().items()}
                texts |= {f"{MEMORY}{window}.{name}": told for name, told in course.to_texts().items()}
        for owner, listener in self._who_listen():
            if len(listener):
                arrays |= {f"{owner}.{name}": array for name, array in listener.to_arrays().items()}
        return arrays, texts

    def put_memory(self, state: PartitionState) -> None:
        """Goes on from what memory told. A follower that is new, or of another version, begins with nothing."""
        for window, course in self._courses.items():
            arrays, texts = of_owner(f"{MEMORY}{window}", state.arrays), of_owner(f"{MEMORY}{window}", state.texts)
            course.restore(arrays, texts, state.watermark_ms, state.texts["cities"], state.texts["entity_ids"])
            self.changes += len(course) > 0
        for owner, listener in self._who_listen():
            listener.restore(of_owner(owner, state.arrays))
            self.changes += len(listener) > 0

    def forget_final(self, watermark_ms: int) -> None:
        """Forgets what was raised of windows that can no longer be revised."""
        for place, start in [*self._raised]:
            detector = self._kind.detectors[place]
            size_ms = self._kind.window(detector.window).size_ms * (SPAN if detector.silence else 1)
            if start + size_ms + self._kind.lateness_ms <= watermark_ms or not self._raised[place, start]:
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


def _model_of(batch: WindowBatch, detector: Detector) -> str:
    return batch.baseline.model if batch.baseline and detector.find is not None else ""


def _rows_told(told: Told | Silence | Missing, size_ms: int) -> _Rows:
    start_ms = np.full(len(told.slot), told.start_ms)
    return _Rows(told.slot, start_ms, start_ms + size_ms, told.revision.__getitem__)


def _rows_of(batch: WindowBatch) -> _Rows:
    def revision(rows: Int64Array) -> Int64Array:
        # What is looked at of the windows before was weighed too: a late observation there makes a new revision here.
        if REVISION in batch.history:
            return np.asarray(batch.look_back(rows)[REVISION].sum(axis=1), np.int64)
        own = batch.revision[rows].astype(np.int64)
        return own + batch.previous[REVISION][rows].astype(np.int64) if REVISION in batch.previous else own

    return _Rows(batch.slot, batch.start_ms, batch.end_ms, revision)


def _evidence(finding: Finding, rows: Int64Array) -> list[tuple[Evidence, ...]]:
    """Of each of these rows."""
    columns = []
    for column in finding.evidence:
        expected = np.nan if column.expected is None else column.expected
        numbers = (column.value, column.threshold, expected)
        told = (np.broadcast_to(n, finding.breached.shape)[rows].astype(np.float64).tolist() for n in numbers)
        columns.append([Evidence(column.measure, *row) for row in zip(*told, strict=True)])
    return list(zip(*columns, strict=True)) if columns else [()] * len(rows)
