"""What must be true of a group of signals for a rule to call it an incident: a tree of conditions, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from services.core.correlation.checks import RuleError

# What `distinct` counts beside the attributes of signals.
ENTITY = "entity"


@dataclass(frozen=True)
class Present:
    """At least one signal of this name takes part."""

    name: str


@dataclass(frozen=True)
class AllOf:
    """Every part is true."""

    parts: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise RuleError("all_of", [], "must have one part or more")


@dataclass(frozen=True)
class AnyOf:
    """At least one part is true."""

    parts: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise RuleError("any_of", [], "must have one part or more")


@dataclass(frozen=True)
class Count:
    """So many signals, or different entities or attributes of them, begin within some time of each other."""

    of: tuple[str, ...]
    at_least: int
    within_s: int | None = None  # from the first start to the last; None: in the whole group
    distinct: str = ""  # "": signals; "entity"; or the name of an attribute (signals without it do not count)

    @cached_property
    def text(self) -> str:
        """As an incident tells it, which it does in each version; likewise below."""
        counted = f"different {self.distinct} of" if self.distinct else "count of"
        return f"{counted} {_names(self.of)}{_within(self.within_s)}"


@dataclass(frozen=True)
class Share:
    """So large a part of all entities that have one value of an attribute tell something within some time.

    How many there are, the signals say (see COUNTED_LABELS); where none does, nobody knows, and it is not true.
    """

    of: tuple[str, ...]
    among: str  # "cabinet": of the entities of any one cabinet
    at_least: float  # above 0, up to 1
    within_s: int | None = None  # from the first start to the last; None: in the whole group

    @cached_property
    def text(self) -> str:
        return f"share of {self.among} of {_names(self.of)}{_within(self.within_s)}"


@dataclass(frozen=True)
class Total:
    """The sum of a measure of signals that begin within some time of each other."""

    of: tuple[str, ...]
    measure: str  # name of an evidence; signals without it, or with NaN, add nothing
    at_least: float
    within_s: int | None = None

    @cached_property
    def text(self) -> str:
        return f"sum of {self.measure} of {_names(self.of)}{_within(self.within_s)}"


@dataclass(frozen=True)
class Percentile:
    """A percentile of a measure over the signals of the group, by nearest rank: the least value that so many reach."""

    of: tuple[str, ...]
    measure: str
    percent: float  # above 0, up to 100
    at_least: float | None = None
    at_most: float | None = None
    values: int = 1  # fewer of them than so many say nothing: not true

    @cached_property
    def text(self) -> str:
        return f"percentile {self.percent:g} of {self.measure} of {_names(self.of)}"


@dataclass(frozen=True)
class Chain:
    """A sequence: signals of these names, each linked with the one before it and begun after it."""

    steps: tuple[str, ...]
    within_s: int | None = None  # from the start of the first to the start of the last

    @cached_property
    def text(self) -> str:
        return f"{', then '.join(self.steps)}{_within(self.within_s)}"


@dataclass(frozen=True)
class Absent:
    """No signal of some name lies near any signal of the group.

    Near: within `radius_m`, in the same city, and no more than `before_s` before its window or `after_s` after it. It
    is held, not held or unknown. Unknown it is where a partition of the kind has not passed that time, so that nobody
    can say what was there, and where a signal of `unknown_if` lies near ("camera_offline"): a dead sensor proves
    nothing.
    """

    of: str
    radius_m: float
    before_s: int = 0
    after_s: int = 0
    around: tuple[str, ...] = ()  # names of the signals that it must not be near; (): all that take part
    unknown_if: tuple[str, ...] = ()
    unknown_opens: bool = False  # whether the incident opens all the same, and says so

    @cached_property
    def text(self) -> str:
        return f"no {self.of} within {self.radius_m:g} m"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _within(seconds: int | None) -> str:
    return "" if seconds is None else f" within {seconds} s"


Condition = Present | AllOf | AnyOf | Count | Share | Total | Percentile | Chain | Absent


def leaves(condition: Condition) -> Iterator[Condition]:
    """All conditions without parts, in the order of the rule."""
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.parts:
            yield from leaves(part)
    else:
        yield condition


def names_in(condition: Condition) -> frozenset[str]:
    """Names of the signals that a condition without parts looks for in the group."""
    match condition:
        case Present(name):
            return frozenset((name,))
        case Count(of=of) | Share(of=of) | Total(of=of) | Percentile(of=of):
            return frozenset(of)
        case Chain(steps=steps):
            return frozenset(steps)
        case Absent(around=around):
            return frozenset(around)
        case _:
            return frozenset(name for leaf in leaves(condition) for name in names_in(leaf))


def needed_by(condition: Condition) -> frozenset[str]:
    """Names without which it cannot be true: at least one signal of each takes part in every incident."""
    match condition:
        case AllOf(parts):
            return frozenset[str]().union(*(needed_by(part) for part in parts))
        case AnyOf(parts):
            return frozenset.intersection(*(needed_by(part) for part in parts))
        case Absent():
            return frozenset()
        case Total(at_least=at_least) if at_least <= 0:
            return frozenset()
        case _:
            names = names_in(condition)
            return names if len(names) == 1 or isinstance(condition, Chain) else frozenset()


# Whether so many signals of each selector of a rule may be enough for a condition.
Enough = Callable[[Sequence[int]], bool]


def enough_for(condition: Condition, sides: Mapping[str, int]) -> Enough:
    """Tells by the number of signals alone where a condition cannot be true; where it may be, it is to be judged.

    Most groups are a few signals that stand about, and judging one costs far more than counting. `sides`: index of the
    selector by its name.
    """
    match condition:
        case AllOf(parts):
            return _every([enough_for(part, sides) for part in parts])
        case AnyOf(parts):
            return _some([enough_for(part, sides) for part in parts])
        case Count(of=of, at_least=least) | Percentile(of=of, values=least):
            return _so_many([sides[name] for name in of], least)
        case Present(name):
            return _so_many([sides[name]], 1)
        case Share(of=of) | Total(of=of):
            return _so_many([sides[name] for name in of], 1)
        case Chain(steps):
            return _every([_so_many([sides[name]], count) for name, count in Counter(steps).items()])
        case Absent():
            return lambda _: True


def _every(parts: Iterable[Enough]) -> Enough:
    some = tuple(parts)
    return some[0] if len(some) == 1 else lambda counts: all(part(counts) for part in some)


def _some(parts: Iterable[Enough]) -> Enough:
    some = tuple(parts)
    return some[0] if len(some) == 1 else lambda counts: any(part(counts) for part in some)


def _so_many(sides: Sequence[int], least: int) -> Enough:
    if len(sides) == 1:
        (side,) = sides
        return lambda counts: counts[side] >= least
    return lambda counts: sum([counts[side] for side in sides]) >= least
