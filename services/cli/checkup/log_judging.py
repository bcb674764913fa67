"""What is wrong with Kafka: its topics held against the catalogue, its groups against what they have to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from services.cli.checkup import checks
from services.cli.checkup.finding import Finding
from services.cli.checkup.log_facts import MIN_INSYNC, LogFacts, TopicFacts, groups_of
from services.cli.status import LAG_BOUND
from services.runtime.catalogue import Topic

# So many names of topics fit into a line; the rest is counted.
MOST_NAMES = 3
ARCHIVER = ".archiver"


def judge_log(kafka: str, topics: Sequence[Topic], facts: LogFacts) -> Iterator[Finding]:
    """Findings about topics and groups. `topics`: those that the catalogue says, `kafka`: bootstrap servers."""
    missing = [topic for topic in topics if topic.name not in facts.topics]
    if missing:
        service, role = (missing[0].writers or missing[0].readers)[0].split(":")
        names = named(topic.name for topic in missing)
        yield checks.TOPIC_MISSING.found(f"not there: {names}", service=service, role=role)
    there = [(topic, facts.topics[topic.name]) for topic in topics if topic.name in facts.topics]
    for topic, found in there:
        yield from _judge_form(kafka, topic, found)
    yield from _judge_copies(kafka, facts, there)
    for group, names_of_topics in groups_of(topics).items():
        yield from _judge_group(kafka, facts, group, names_of_topics)


def _judge_form(kafka: str, topic: Topic, found: TopicFacts) -> Iterator[Finding]:
    if len(found.partitions) != topic.partitions:
        yield checks.TOPIC_PARTITIONS.found(
            f"{topic.name} has {len(found.partitions)} partitions, the catalogue says {topic.partitions}"
        )
    differing = {
        name: value for name, value in topic.configs.items() if name in found.configs and found.configs[name] != value
    }
    if differing:
        told = ", ".join(f"{name} = {found.configs[name]} instead of {value}" for name, value in differing.items())
        config = ",".join(f"{name}={value}" for name, value in differing.items())
        yield checks.TOPIC_SETTINGS.found(f"{topic.name}: {told}", kafka=kafka, topic=topic.name, config=config)


def _judge_copies(kafka: str, facts: LogFacts, there: Sequence[tuple[Topic, TopicFacts]]) -> Iterator[Finding]:
    unavailable, behind, fragile = [], [], []
    for topic, found in there:
        least = int(found.configs.get(MIN_INSYNC, "1"))
        for number, partition in sorted(found.partitions.items()):
            place = f"{topic.name}[{number}]"
            if partition.leader < 0 or partition.in_sync < least:
                unavailable.append(f"{place} ({partition.in_sync} of {partition.replicas} in sync, {least} needed)")
            elif partition.in_sync < partition.replicas:
                behind.append(place)
        replicas = min(partition.replicas for partition in found.partitions.values())
        if facts.brokers > 1 and (replicas < 2 or least < 2):
            fragile.append((topic.name, f"{topic.name} (replicas {replicas}, {MIN_INSYNC} {least})"))
    if unavailable:
        yield checks.PARTITION_UNAVAILABLE.found(f"nobody can write to {named(unavailable)}", kafka=kafka)
    if behind:
        yield checks.PARTITION_UNDER_REPLICATED.found(f"replicas are missing or behind: {named(behind)}", kafka=kafka)
    if fragile:
        names = named(text for _, text in fragile)
        yield checks.TOPIC_NOT_DURABLE.found(names, kafka=kafka, topic=fragile[0][0])


def _judge_group(kafka: str, facts: LogFacts, group: str, topics: Sequence[str]) -> Iterator[Finding]:
    found = facts.groups[group]
    _, service, role = group.split(".")
    lag = facts.lag(group, topics)
    if not found.members:
        unread = f"; {lag:,} records wait" if lag else ""
        yield checks.GROUP_EMPTY.found(f"the group {group} has no member{unread}", service=service, role=role)
    elif lag > LAG_BOUND:
        check = checks.ARCHIVER_BEHIND if group.endswith(ARCHIVER) else checks.GROUP_BEHIND
        worst = max(topics, key=lambda topic: facts.lag(group, [topic]))
        yield check.found(
            f"the group {group} ({found.members} members) is {lag:,} records behind, most of them of {worst}",
            kafka=kafka,
            group=group,
        )
    beyond = [
        f"{place[0]}[{place[1]}] at {offset:,}, the log has {begin:,} to {end:,}"
        for place, offset in sorted(found.committed.items())
        if place in facts.held and place[0] in topics
        for begin, end in (facts.held[place],)
        if offset > end or offset < begin
    ]
    if beyond:
        yield checks.GROUP_BEYOND_LOG.found(
            f"the group {group} stands outside of {named(beyond)}", kafka=kafka, group=group
        )


def named(names: Iterable[str]) -> str:
    """The first few of many, and how many there are beside them."""
    listed = list(names)
    more = f" and {len(listed) - MOST_NAMES} more" if len(listed) > MOST_NAMES else ""
    return ", ".join(listed[:MOST_NAMES]) + more
