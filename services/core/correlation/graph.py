"""The graph of one rule: signals, links between those that belong together, and the groups that hang together."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from services.core.correlation.bond import Bond
from services.core.correlation.condition import Absent, AllOf, Present, enough_for
from services.core.correlation.group import Group, Listing, Nearness, Node, gap_ms, link_of
from services.core.correlation.incident import Link
from services.core.correlation.moments import Calendar
from services.core.correlation.returning import Returns, as_one
from services.core.correlation.rule import Rule
from services.core.correlation.space import PlaceIndex, place_of
from services.core.correlation.surroundings import Coverage, Surroundings
from services.core.correlation.verdict import PLAINLY_HELD, PLAINLY_NOT, Absence, Truth, Verdict, judge
from services.core.signals import Signal

# A signal is linked with so many others at most; what would be more is refused, and counted: in one place and time the
# links are as many as the square of the signals.
MAX_LINKS_OF_A_SIGNAL = 2_000


class _Search(NamedTuple):
    """Where the others of a signal are looked for."""

    radius_m: float
    within_ms: int  # the longest of any bond
    bonds: dict[int, tuple[Bond, int, bool, bool]]  # by their side: time in ms, plain or not, told first or not


_ORDER = attrgetter("order")


class LinkGraph:
    """Keeps the groups of one rule up to date as signals come and go. Its groups depend on the signals alone."""

    def __init__(self, rule: Rule, settled_ms: int | None = None) -> None:
        """`settled_ms`: time after the start of its window at which a signal is settled; None: as the rule says."""
        self.rule = rule
        self.nodes: dict[str, Node] = {}
        # Event time after the end of a group from which on nothing can change it.
        self.kept_ms = rule.open_ms + (rule.settled_after_ms if settled_ms is None else settled_ms)
        self._searches = [self._searches_of(selector.name) for selector in rule.selectors]
        radii_of_side = [[search.radius_m for search in searches] for searches in self._searches]
        self._places = PlaceIndex[Node](*sorted({bond.radius_m for bond in rule.all_bonds}), of_side=radii_of_side)
        self._surroundings = Surroundings[Node](rule, self.kept_ms) if rule.absences else None
        self._returns = Returns(self.nodes, rule.keep_open_s * 1000) if rule.keep_open_s else None
        self._plain = isinstance(rule.condition, AllOf) and all(isinstance(p, Present) for p in rule.condition.parts)
        self._careful = any(not bond.plain for bond in rule.all_bonds)
        self._enough = enough_for(rule.condition, rule.sides)
        # By selector: number of members by selector of a signal that is alone, and whether that may be an incident.
        sides = range(len(rule.selectors))
        self._alone = [tuple(int(side == own) for side in sides) for own in sides]
        self._enough_alone = [self._enough(counts) for counts in self._alone]
        self._touched: dict[Group, None] = {}  # in the order of touching
        self._expiring = Calendar[str]()  # a member of a group by the event time at which to look at it

    def _searches_of(self, name: str) -> list[_Search]:
        """One for each radius."""
        found: dict[float, _Search] = {}
        for bond in self.rule.all_bonds:
            if name in (bond.first, bond.second):
                other = self.rule.sides[bond.second if bond.first == name else bond.first]
                _, within_ms, others = found.get(bond.radius_m, (bond.radius_m, 0, {}))
                others = {**others, other: (bond, bond.within_ms, bond.plain, bond.first == name)}
                found[bond.radius_m] = _Search(bond.radius_m, max(within_ms, bond.within_ms), others)
        return list(found.values())

    def put(self, signal: Signal) -> bool:
        """Adds a signal, takes its new version, or lets it go where the rule no longer takes it.

        False: refused, since it would have too many links; it is not in the graph.
        """
        node, side = self.nodes.get(signal.id), self.rule.side_of(signal)
        if self._surroundings is not None:
            looks = side is not None and self.rule.selectors[side].name in self.rule.context
            for anchor in self._surroundings.put(signal, side if looks else None):
                self._touch(anchor)
            side = None if looks else side
        if node is not None and (side is None or not self._stays(node, signal, side)):
            self.remove(signal.id)
            node = None
        if node is not None:
            node.renew(signal)
            self._touch(node)
            return True
        return side is None or self._add(signal, side)

    def _stays(self, node: Node, signal: Signal, side: int) -> bool:
        """Whether a new version has the links of the one before."""
        old = node.signal
        same = node.side == side and node.place == place_of(signal)
        same = same and (old.start_ms, old.end_ms) == (signal.start_ms, signal.end_ms)
        if same and self._careful:
            same = old.attributes == signal.attributes and old.evidence == signal.evidence
        return same

    def remove(self, signal_id: str) -> None:
        """Takes a signal out, and its group apart where it held it together."""
        node = self.nodes.pop(signal_id)
        self._unindex(node)
        for other_id in node.neighbours:
            other = self.nodes[other_id]
            del other.neighbours[signal_id]
            other.forward = None
            if other.closest is not None and other.closest[2] == signal_id:
                other.closest = min((self._nearness(other, self.nodes[i]) for i in other.neighbours), default=None)
        self._leave(node)
        node.group = None

    def discard(self, signal_id: str) -> None:
        """Takes a signal out, if it is there, whatever it is here for."""
        if signal_id in self.nodes:
            self.remove(signal_id)
        elif self._surroundings is not None:
            for anchor in self._surroundings.discard(signal_id):
                self._touch(anchor)

    def holds(self, signal_id: str) -> bool:
        """Whether a signal takes part in a group, or is looked out for."""
        return signal_id in self.nodes or (self._surroundings is not None and self._surroundings.holds(signal_id))

    def judge(self, group: Group, event_ms: int | None, coverage: Coverage) -> Verdict:
        """Whether the condition is true of a group at an event time; that and its outcomes are kept in the group."""
        verdict = self._judge(group, event_ms, coverage)
        group.held = verdict.truth is Truth.HELD
        return verdict

    def _judge(self, group: Group, event_ms: int | None, coverage: Coverage) -> Verdict:
        if not self._may_be(group):
            group.outcomes = ()
            return PLAINLY_NOT
        if self._plain:
            return PLAINLY_HELD
        members = {self.rule.selectors[side].name: nodes for side, nodes in self.listing(group).of_side.items()}

        def look_around(absent: Absent) -> Absence:
            assert self._surroundings is not None
            return self._surroundings.look(absent, members, event_ms, coverage)

        verdict = judge(self.rule.condition, members, look_around)
        group.outcomes = verdict.outcomes
        return verdict

    def could_be(self, group: Group) -> bool:
        """Whether what every incident of the rule needs is there."""
        return bool(group.members) and all(map(group.sides.__getitem__, self.rule.needed_sides))

    def _may_be(self, group: Group) -> bool:
        """Whether its signals are enough, by their number: the others need not be judged."""
        return bool(group.members) and self._enough(group.sides)

    def groups(self) -> list[Group]:
        """All groups, in the order of joining."""
        return list(dict.fromkeys(map(self._group_of, self.nodes.values())))

    def groups_with_incidents(self) -> list[Group]:
        """The incidents, each as one group, in the order of joining."""
        groups = dict.fromkeys(node.group for node in self.nodes.values())
        whole = dict.fromkeys(group.kin or (group,) for group in groups if group is not None and group.incidents)
        return list(map(as_one, whole))

    def incidents_of(self, judged: Sequence[Group]) -> list[tuple[Group, tuple[Group, ...]]]:
        """What groups that changed, and were judged, are now: each incident as one group, and the groups it is made of.

        With them comes what was, or is, one incident with them; and each group that is none, by itself.
        """
        if self._returns is None:
            return [(group, (group,)) for group in judged]
        return self._returns.incidents(judged)

    def _group_of(self, node: Node) -> Group:
        group = node.group
        if group is None:
            signal = node.signal
            length_ms = signal.end_ms - signal.start_ms
            group = node.group = Group({signal.id: None}, self._alone[node.side], signal.end_ms, length_ms, node)
        return group

    def _touch(self, node: Node) -> None:
        """The group of a signal is to be judged again, if that can tell anything."""
        if node.group is not None or self._enough_alone[node.side]:
            self._touched[self._group_of(node)] = None

    def touch(self, signal_id: str) -> None:
        """The group of a signal, if it is still there, is to be judged again."""
        if node := self.nodes.get(signal_id):
            self._touch(node)

    def forget(self, group: Group) -> None:
        """Drops a group whole and without a word: nothing can belong to it any more."""
        group.kin = ()
        for signal_id in group.members:
            node = self.nodes.pop(signal_id)
            self._unindex(node)
            node.group = None  # which names one of them in turn: what is in no cycle is freed at once
        self._touched.pop(group, None)

    def expiring(self, now_ms: int) -> Iterator[tuple[Group, ...]]:
        """What nothing can change from an event time on: groups, each with those that are one incident with it.

        One that is not forgotten now is told later again.
        """
        for signal_id in self._expiring.take(now_ms):
            if (node := self.nodes.get(signal_id)) is None:
                continue
            group = self._group_of(node)
            whole = group.kin or (group,)
            if all(one.end_ms + self.kept_ms <= now_ms for one in whole) and not self._reaches(whole, now_ms):
                yield whole
            if signal_id in self.nodes:
                self._expiring.put(max(self._group_of(node).end_ms + self.kept_ms, now_ms + 1), signal_id)

    def _reaches(self, whole: Sequence[Group], now_ms: int) -> bool:
        """Whether what is not settled yet may come to belong to an incident."""
        return self._returns is not None and whole[0].held and self._returns.reaches(whole, now_ms, self.kept_ms)

    def forget_surroundings(self, now_ms: int) -> list[str]:
        """Drops what was looked out for and is near nothing that stands any more; gives the ids."""
        return [] if self._surroundings is None else self._surroundings.forget(now_ms)

    def listing(self, group: Group) -> Listing:
        """The signals of a group in their order; to be read only, and before anything changes."""
        if group.listing is None:
            group.listing = Listing(map(self.nodes.__getitem__, group.members))
        return group.listing

    def forward(self, node: Node) -> list[Link]:
        """The links of a signal with those behind it, in their order; they are kept up to date from then on."""
        behind = [other for other in map(self.nodes.__getitem__, node.neighbours) if other.order > node.order]
        node.forward = [link_of(node, other) for other in sorted(behind, key=_ORDER)]
        return node.forward

    def take_touched(self) -> list[Group]:
        """The groups that changed since the last call, by their first signal; those with no signal left at last.

        Most of what a city tells belongs to nothing: groups that are no incident, and cannot be one, are left out.
        """
        if not self._touched:
            return []
        touched, self._touched = self._touched, {}
        some = [g for g in touched if g.incidents or self._may_be(g)]
        standing = [g for g in some if g.members]
        if len(standing) > 1:
            standing.sort(key=lambda g: g.first.order)
        return standing + [g for g in some if not g.members]

    def _add(self, signal: Signal, side: int) -> bool:
        node = Node(signal, side)
        found = self._candidates(node)
        if found and max(len(found) - 1, *(len(other.neighbours) for other, _, _ in found)) >= MAX_LINKS_OF_A_SIGNAL:
            return False
        self.nodes[signal.id] = node
        self._touch(node)
        for other, gap, distance in found:
            self._link(node, other, gap, distance)
        self._places.add(node)
        if self._returns is not None:
            self._returns.add(node)
        if self._surroundings is not None:
            self._surroundings.add_anchor(node)
        self._expiring.put(signal.end_ms + self.kept_ms, signal.id)
        return True

    def _candidates(self, node: Node) -> list[tuple[Node, int, float]]:
        """What a signal is to be linked with, the time between the windows in ms, and the distance in m."""
        signal = node.signal
        found: list[tuple[Node, int, float]] = []
        for radius_m, longest_ms, bonds in self._searches[node.side]:
            from_ms, to_ms = signal.start_ms - longest_ms, signal.end_ms + longest_ms
            for other, distance in self._places.near(node.place, signal.city, bonds, from_ms, to_ms, radius_m):
                bond, within_ms, plain, is_first = bonds[other.side]
                gap = gap_ms(signal, other.signal)
                if gap > within_ms:
                    continue
                if plain or bond.joins(*((signal, other.signal) if is_first else (other.signal, signal))):
                    found.append((other, gap, distance))
        return found

    def _unindex(self, node: Node) -> None:
        self._places.remove(node)
        if self._returns is not None:
            self._returns.remove(node)
        if self._surroundings is not None:
            self._surroundings.remove_anchor(node)

    def _link(self, a: Node, b: Node, gap: int, distance: float) -> None:
        a.join((gap, distance, b.signal.id))
        b.join((gap, distance, a.signal.id))
        if a.forward is not None or b.forward is not None:
            early, late = (a, b) if a.order < b.order else (b, a)
            self._list_link(early, late)
        group, other = self._group_of(a), self._group_of(b)
        if group is not other:
            if len(group.members) < len(other.members):
                group, other = other, group
            self._merge(group, other)
        group.links += 1

    def _list_link(self, node: Node, behind: Node) -> None:
        """Puts a new link among those that a signal has with the ones behind it, where these are known."""
        if node.forward is None:
            return

        def order(link: Link) -> tuple[int, str]:
            first, second = link.first_signal_id, link.second_signal_id
            return self.nodes[second if first == node.signal.id else first].order

        link = link_of(node, behind)
        # Nearly always it is the newest.
        if not node.forward or order(node.forward[-1]) < behind.order:
            node.forward.append(link)
        else:
            insort(node.forward, link, key=order)

    @staticmethod
    def _nearness(node: Node, other: Node) -> Nearness:
        return gap_ms(node.signal, other.signal), node.neighbours[other.signal.id], other.signal.id

    def _merge(self, into: Group, group: Group) -> None:
        for member in group.members:
            self.nodes[member].group = into
        into.members |= group.members
        into.sides = [a + b for a, b in zip(into.sides, group.sides, strict=True)]
        into.end_ms = max(into.end_ms, group.end_ms)
        into.longest_ms = max(into.longest_ms, group.longest_ms)
        if into.listing is not None:
            for member in group.members:
                into.listing.insert(self.nodes[member])
        into.first = min(into.first, group.first, key=_ORDER)
        into.links += group.links
        into.incidents |= group.incidents
        into.kin += group.kin
        self._touched.pop(group, None)
        self._touched[into] = None

    def _leave(self, node: Node) -> None:
        group = node.group
        if group is None:
            return
        del group.members[node.signal.id]
        group.listing = None
        group.sides = [count - own for count, own in zip(group.sides, self._alone[node.side], strict=True)]
        group.links -= len(node.neighbours)
        self._touched[group] = None
        if len(node.neighbours) > 1:
            parts = self._parts(group, node.neighbours)
            if len(parts) > 1:
                self._split(group, parts)
                return
        if group.members and group.first is node:
            group.first = self._first(group.members)
        signal = node.signal
        if group.members and group.end_ms == signal.end_ms:
            self._set_end(group)
        if group.members and group.longest_ms == signal.end_ms - signal.start_ms:
            group.longest_ms = self._longest_ms(group.members)

    def _first(self, members: Iterable[str]) -> Node:
        return min((self.nodes[i] for i in members), key=_ORDER)

    def _longest_ms(self, members: Iterable[str]) -> int:
        signals = (self.nodes[i].signal for i in members)
        return max(signal.end_ms - signal.start_ms for signal in signals)

    def _set_end(self, group: Group) -> None:
        """After a loss: the group may be settled earlier than its signals are asked about."""
        group.end_ms = max(self.nodes[i].signal.end_ms for i in group.members)
        self._expiring.put(group.end_ms + self.kept_ms, next(iter(group.members)))

    def _parts(self, group: Group, seeds: Collection[str]) -> list[set[str]]:
        """What hangs together among the members of a group; every part holds one of the seeds."""
        parts: list[set[str]] = []
        for seed in seeds:
            if any(seed in part for part in parts):
                continue
            part, rim = {seed}, [seed]
            while rim:
                new = self.nodes[rim.pop()].neighbours.keys() - part
                part |= new
                rim.extend(new)
            parts.append(part)
            if len(part) == len(group.members):
                break
        return parts

    def _split(self, group: Group, parts: list[set[str]]) -> None:
        """Makes a group of each part; the incidents stay with the earliest part that can carry one."""
        made = []
        for part in parts:
            sides = [0] * len(self.rule.selectors)
            for member in part:
                sides[self.nodes[member].side] += 1
            links = sum(len(self.nodes[member].neighbours) for member in part) // 2
            members = dict.fromkeys(i for i in group.members if i in part)
            new = Group(members, sides, 0, self._longest_ms(members), self._first(members), links)
            for member in part:
                self.nodes[member].group = new
            self._set_end(new)
            self._touched[new] = None
            made.append(new)
        heir = min(made, key=lambda g: (not self.could_be(g), g.first.order))
        heir.incidents, heir.kin = group.incidents, group.kin
        del self._touched[group]
