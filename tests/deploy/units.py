"""The units of `deploy/systemd`, as they are read: a section's assignments in order, with those that are repeated."""

from __future__ import annotations

from pathlib import Path

from tests.running import ROOT

FOLDER = ROOT / "deploy/systemd"
SERVICES = tuple(sorted(FOLDER.glob("*.service")))


def assignments(unit: Path) -> list[tuple[str, str]]:
    """Return what a unit says, from its first line to its last."""
    lines = [line.partition("=") for line in unit.read_text().splitlines() if not line.startswith("#")]
    return [(name, value) for name, mark, value in lines if mark]


def said(unit: Path, name: str) -> list[str]:
    """Return the values that a unit gives to a name."""
    return [value for key, value in assignments(unit) if key == name]
