"""A folder of rules that is watched: what is whole is wanted, what is broken is refused with file, line and field."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.correlation.rule_watch import RuleWatch, check_rules
from services.correlation.rules import RuleFileError, load_rule

NAME = "crowd_road_pressure.yaml"
# Not those that are shipped: they change, and their versions with them.
RULES = Path(__file__).parent / "rules"


def copied(folder: Path) -> Path:
    """One rule, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(RULES / NAME, folder / NAME))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def look(watch: RuleWatch) -> list[str]:
    """Two looks; what they log as refused."""
    with capture_logs() as logs:
        await watch.look_again()
        await watch.look_again()
    return [entry["fault"] for entry in logs if entry["event"] == "rules_refused"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return copied(tmp_path)


async def test_an_edited_rule_is_wanted_when_two_looks_have_found_the_same(path):
    watch = RuleWatch(path.parent)
    (before,) = watch.wanted
    waiting = asyncio.create_task(watch.other_than(lambda: [before.rule]))
    edit(path, "version: 1", "version: 2")
    await watch.look_again()
    assert watch.wanted == (before,), "half of a file may be written"
    await watch.look_again()
    (after,) = await asyncio.wait_for(waiting, 10)
    assert (after.name, after.text, after.rule.version) == (NAME, path.read_text(), 2)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("severity: severe", "severity: bad", f"{NAME}:8: severity = 'bad': must be one of"),
        ("rule: ", "rule: [", f"{NAME}:4: is no YAML"),
        ("radius_m: ", "radius: ", f"{NAME}:19: radius = 500: is unknown"),
        ("settled_after_s: ", "settled_after_s: 1 #", f"{NAME}:23: settled_after_s = 1: crowd"),
        ("kind: people_count", "kind: people", f"{NAME}:12: signals[0].kind = 'people': is none of"),
    ],
)
async def test_a_broken_set_is_refused_and_the_old_one_stays(path, old, new, fault):
    watch = RuleWatch(path.parent, check_rules)
    before, good = watch.wanted, path.read_text()
    edit(path, old, new)
    told = await look(watch)
    assert watch.wanted == before
    assert any(fault in text for text in told), told
    assert watch.faults == tuple(told)
    assert await look(watch) == [], "it is told once"
    path.write_text(good)
    assert (await look(watch), watch.faults) == ([], ())


async def test_another_rule_under_a_version_that_incidents_stand_by_is_refused(path):
    watch = RuleWatch(path.parent)
    watch.follow([watch.wanted[0].rule])
    edit(path, "radius_m: ", "radius_m: 1")  # 500 m become 1,500
    (fault,) = await look(watch)
    assert f"{NAME}:" in fault
    assert "version = 1: another rule is in force under this version" in fault
    edit(path, "version: 1", "version: 2")
    assert await look(watch) == []
    assert watch.wanted[0].rule.version == 2


async def test_what_was_wanted_before_anybody_knew_of_the_incidents_is_judged_again(path):
    known = load_rule(path)
    edit(path, "radius_m: ", "radius_m: 1")
    watch = RuleWatch(path.parent)
    assert watch.wanted[0].rule != known
    watch.follow([known])
    assert "version = 1: another rule is in force" in watch.faults[0]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watch.other_than(lambda: [known]), 0.01)


async def test_a_config_map_changes_by_a_symbolic_link(tmp_path):
    for version in (1, 2):
        edit(copied(tmp_path / f"..{version}"), "version: 1", f"version: {version}")
    folder, data = tmp_path / "rules", tmp_path / "rules" / "..data"
    folder.mkdir()
    data.symlink_to(tmp_path / "..1")
    (folder / NAME).symlink_to(data / NAME)
    watch = RuleWatch(folder)
    assert watch.wanted[0].rule.version == 1
    fresh = folder / "..data_tmp"
    fresh.symlink_to(tmp_path / "..2")
    fresh.rename(data)
    shutil.rmtree(tmp_path / "..1")
    assert await look(watch) == []
    assert watch.wanted[0].rule.version == 2


def mount(folder: Path, number: int, files: dict[str, str]) -> Iterator[str]:
    """Writes a ConfigMap as the node's agent does (its AtomicWriter), and tells after which step it is."""
    payload = folder / f"..2026_11_26_{number:02}"
    payload.mkdir()
    for name, text in files.items():
        (payload / name).write_text(text)
    before = (folder / "..data").resolve() if (folder / "..data").exists() else None
    (folder / "..data_tmp").symlink_to(payload.name)
    os.replace(folder / "..data_tmp", folder / "..data")
    yield "the link is turned over"
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    yield "new files have their links"
    for link in folder.glob("*.yaml"):
        if link.name not in files:
            link.unlink()
    if before is not None:
        shutil.rmtree(before)
    yield "nothing is left of what was before"


async def test_a_config_map_in_which_rules_come_go_and_change_is_wanted_whole_or_not_at_all(tmp_path):
    text = (RULES / NAME).read_text()
    other = text.replace("rule: crowd_road_pressure", "rule: other")
    assert other != text
    for _ in mount(tmp_path, 1, {NAME: text, "gone.yaml": text.replace("rule: crowd_road_pressure", "rule: gone")}):
        pass
    watch = RuleWatch(tmp_path)
    before = watch.wanted
    assert [file.rule.name for file in before] == ["crowd_road_pressure", "gone"]
    after = {NAME: text.replace("version: 1", "version: 2"), "other.yaml": other}
    for step in mount(tmp_path, 2, after):
        found = await look(watch)
        if step == "the link is turned over":
            # The link of a file that went leads nowhere: told, and the rules before go on.
            assert len(found) == 1
        if watch.faults:
            assert watch.wanted == before, step
    assert (watch.faults, [(f.rule.name, f.rule.version) for f in watch.wanted]) == (
        (),
        [("crowd_road_pressure", 2), ("other", 1)],
    )


async def test_a_folder_that_is_gone_or_empty_is_refused(path):
    watch = RuleWatch(path.parent)
    before = watch.wanted
    path.unlink()
    assert await look(watch) == [f"{path.parent.name}: holds no rule (*.yaml)"]
    assert watch.wanted == before
    with pytest.raises(RuleFileError, match="holds no rule"):
        _ = RuleWatch(path.parent).wanted


async def test_a_comment_changes_nothing(path):
    watch = RuleWatch(path.parent)
    waiting = asyncio.create_task(watch.other_than(lambda: [load_rule(path)]))
    watch.look()
    path.write_text("# a comment\n" + path.read_text())
    assert await look(watch) == []
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(waiting, 0.01)
