"""Who sets what the deployment has, who stays out, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from servers import clock
from servers.clock import VirtualClock
from servers.deployment.comparison import INTERVAL_S, RESTART_S, SILENT
from servers.deployment.facts import FACTS
from servers.deployment.members import members
from servers.deployment.standing import STANDING, Work
from servers.errors import DeploymentDiffers
from servers.models import DeploymentFact, Member
from tests.deployment.machines import Machine
from tests.virtual_time import virtual_clock

__all__ = ["virtual_clock"]
NAMES = [fact.name for fact in FACTS]


@pytest.fixture
def one(db: None, monkeypatch: pytest.MonkeyPatch, virtual_clock: VirtualClock) -> Machine:
    return Machine(monkeypatch, "one")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch, "two")


def test_first_machine_sets_what_the_deployment_has_and_a_like_one_agrees(one: Machine, two: Machine) -> None:
    assert one.compare() == [] and two.compare() == []
    assert set(DeploymentFact.objects.values_list("name", "set_by")) == {(name, "one") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_machine_that_differs_stays_out_says_why_and_changes_nothing(
    one: Machine, two: Machine, name: str
) -> None:
    one.compare()
    two.values[name] = {"identity": "b"}
    assert two.compare() == [name]
    assert DeploymentFact.objects.get(name=name).value == {"identity": "a"}
    differs = next(member for member in members() if member.name == "two")
    assert (differs.state, differs.differs_in) == ("stays out", name)
    (said,) = differs.differences
    assert "another one" in said["reason"] and said["remedy"]
    work = next(fact.spoils for fact in FACTS if fact.name == name)
    with pytest.raises(DeploymentDiffers, match="another one"):
        STANDING.require(work)
    assert one.compare() == []


def test_image_store_spoils_nothing_but_images(one: Machine, two: Machine) -> None:
    one.compare()
    two.values["image_store"] = {"identity": "b"}
    two.compare()
    assert STANDING.refuses(Work.EVERYTHING) is None and STANDING.refuses(Work.IMAGES) is not None


def test_machine_works_again_as_soon_as_it_agrees(one: Machine, two: Machine) -> None:
    one.compare()
    two.values["policy"] = {"identity": "b"}
    assert two.compare() == ["policy"]
    two.values["policy"] = {"identity": "a"}
    assert two.compare() == [] and STANDING.refuses() is None


def test_machine_that_is_alone_changes_what_the_deployment_has(one: Machine) -> None:
    one.compare()
    one.values["settings"] = {"identity": "b"}
    assert one.compare() == []
    assert DeploymentFact.objects.get(name="settings").value == {"identity": "b"}


def test_change_on_every_machine_ends_with_all_of_them_at_work(one: Machine, two: Machine) -> None:
    one.compare(), two.compare()
    one.values["policy"] = {"identity": "b"}
    assert one.compare() == ["policy"] and two.compare() == []
    two.values["policy"] = {"identity": "b"}
    assert two.compare() == [] and one.compare() == []


def test_machine_that_was_not_seen_for_long_holds_nobody_back(
    one: Machine, two: Machine, virtual_clock: VirtualClock
) -> None:
    one.compare()
    two.values["settings"] = {"identity": "b"}
    virtual_clock.sleep(SILENT.total_seconds() - 1)
    assert two.compare() == ["settings"]
    virtual_clock.sleep(2)
    assert two.compare() == []
    assert one.compare() == ["settings"]


def test_machine_that_starts_again_loses_nothing_to_one_that_differs(
    one: Machine, two: Machine, virtual_clock: VirtualClock
) -> None:
    one.compare()
    two.values["settings"] = {"identity": "b"}
    for _ in range(3):
        assert (one.compare(), two.compare()) == ([], ["settings"])
        virtual_clock.sleep(INTERVAL_S)
    Member.objects.filter(name="one").delete()
    for _ in range(int(RESTART_S / INTERVAL_S) - 1):
        assert two.compare() == ["settings"]
        virtual_clock.sleep(INTERVAL_S)
    assert one.compare() == []
    Member.objects.filter(name="one").delete()
    virtual_clock.sleep(RESTART_S + 1)
    assert two.compare() == []


def test_process_that_was_killed_holds_its_successor_back_no_longer_than_it_is_seen(
    one: Machine, two: Machine, virtual_clock: VirtualClock
) -> None:
    one.compare()
    two.values["settings"] = {"identity": "b"}
    for _ in range(3):
        virtual_clock.sleep(INTERVAL_S - 0.5)
        assert two.compare() == ["settings"]
    virtual_clock.sleep(INTERVAL_S)
    assert two.compare() == []


def test_machine_that_lacks_what_is_recorded_never_sets_the_deployments(one: Machine) -> None:
    one.lacks = {"image_store"}
    assert one.compare() == ["image_store"]
    assert not DeploymentFact.objects.filter(name="image_store").exists()
    one.lacks = set()
    assert one.compare() == []


def test_older_version_stays_out_from_the_moment_when_a_newer_one_is_there(
    one: Machine, two: Machine
) -> None:
    one.compare()
    two.values["version"] = {"identity": "b", "age": 1}
    assert two.compare() == [] and one.compare() == ["version"]


def test_what_does_not_matter_to_a_machine_keeps_it_from_nothing(one: Machine, two: Machine) -> None:
    one.compare()
    two.values["simulated_fleet"] = None
    assert two.compare() == []


def test_command_only_looks(one: Machine, two: Machine) -> None:
    two.values["policy"] = {"identity": "b"}
    assert two.compare(member=False) == [] and not Member.objects.exists()
    one.compare()
    assert two.compare(member=False) == ["policy"]
    assert [member.name for member in members()] == ["one"]


def test_members_are_forgotten_after_a_day(one: Machine, two: Machine, virtual_clock: VirtualClock) -> None:
    one.compare()
    virtual_clock.sleep(timedelta(days=1).total_seconds() + 1)
    two.compare()
    assert [member.name for member in members()] == ["two"]


def test_member_compares_often_enough_to_be_seen() -> None:
    assert timedelta(seconds=2 * INTERVAL_S) < SILENT and clock.now()
