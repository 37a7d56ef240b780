"""What a machine has: read without writing, told apart by what it is and not by where it lies, and never in secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured

from servers.deployment import facts
from servers.deployment.facts import FACTS
from servers.drivers.simulated import Fleet
from servers.images.local import LocalImageStore
from servers.models import Host, Project
from tests.factories import make_host, make_image

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_reading_a_fact_twice_says_the_same_in_json(db: None, fact: facts.Fact) -> None:
    assert json.loads(json.dumps(fact.read())) == fact.read()


def test_no_fact_tells_a_secret(db: None, settings: Any) -> None:
    settings.SECRET_KEY = "nobody-is-to-know-this"
    assert "nobody-is-to-know-this" not in json.dumps([fact.read() for fact in FACTS])


def test_store_is_the_same_one_on_another_path(tmp_path: Path) -> None:
    first = LocalImageStore(tmp_path / "here")
    known = first.identify()
    (tmp_path / "here").rename(tmp_path / "there")
    assert LocalImageStore(tmp_path / "there").identity() == known
    assert LocalImageStore(tmp_path / "there").identify() == known


def test_looking_at_a_store_makes_it_none(tmp_path: Path) -> None:
    assert LocalImageStore(tmp_path / "images").identity() is None
    assert list((tmp_path / "images").iterdir()) == []


def test_simulated_fleet_is_the_same_one_on_another_path(db: None, tmp_path: Path, settings: Any) -> None:
    Fleet(settings.SIMULATED_FLEET).add_host("node1", memory_mb=1024, pools=[])
    make_host("node1")
    known = facts.simulated_fleet()
    settings.SIMULATED_FLEET.rename(tmp_path / "elsewhere")
    assert facts.simulated_fleet() == "no store"
    settings.SIMULATED_FLEET = tmp_path / "elsewhere"
    assert facts.simulated_fleet() == known


def test_simulated_fleet_does_not_matter_without_simulated_hosts(db: None) -> None:
    make_host("node1", driver="libvirt")
    assert Host.objects.exists() and facts.simulated_fleet() is None


def test_every_variable_is_either_of_one_machine_or_the_same_everywhere() -> None:
    cells = [
        line.split("|")[1].strip(" `") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")
    ]
    both = set(configured.OF_THIS_MACHINE) & set(configured.SAME_EVERYWHERE)
    assert not both
    assert set(cells) == set(configured.OF_THIS_MACHINE) | set(configured.SAME_EVERYWHERE)


def test_difference_of_settings_names_each_variable_with_both_values() -> None:
    said = facts.settings_differ({"A": 1, "B": 2}, {"A": 1, "B": 3, "C": "x"})
    assert said == "B is 2 here, and 3 there; C is not there here, and 'x' there"


def test_newer_version_is_that_with_the_later_migration_or_number() -> None:
    old = {"version": "0.9.0", "migration": "0010_a", "code": "1"}
    (version,) = (fact for fact in FACTS if fact.name == "version")
    assert version.is_newer({**old, "version": "0.10.0"}, old)
    assert version.is_newer({**old, "migration": "0011_b"}, old)
    assert not version.is_newer({**old, "code": "2"}, old)
    assert not version.is_newer(old, {**old, "version": "0.10.0"})


def test_store_that_misses_recorded_images_is_not_the_deployments(project: Project, settings: Any) -> None:
    image = make_image(project, sha256="0" * 64)
    assert facts.is_missing_images()
    (LocalImageStore(settings.IMAGE_DIR).folder / str(image.pk)).write_bytes(b"x")
    assert not facts.is_missing_images()
