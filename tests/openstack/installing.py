"""Install a real Keystone and a real Glance, each into an environment of its own, and what Gantry needs for them."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / ".data" / "openstack"
SERVICES = ("keystone", "glance")
GANTRY = HERE / "constraints.txt"
RETRIES = "1"
LIMIT_S = 600


def environment(service: str) -> Path:
    """Return the folder of a service's environment."""
    return FOLDER / "environments" / service


def locks() -> dict[Path, Path]:
    """Return what is installed into which environment."""
    services = {environment(service): HERE / f"{service}.txt" for service in SERVICES}
    return {**services, Path(sys.prefix): GANTRY}


def stamp(folder: Path) -> Path:
    """Return the file that says what is installed in an environment."""
    return folder / "openstack.txt"


def is_installed(folder: Path, lock: Path) -> bool:
    """Return whether the environment has what the lock says."""
    return stamp(folder).exists() and stamp(folder).read_text() == lock.read_text()


def missing() -> list[str]:
    """Return the names of what is not installed."""
    return [lock.stem for folder, lock in locks().items() if not is_installed(folder, lock)]


def install(folder: Path, lock: Path) -> str:
    """Install; return why it is not possible, or nothing."""
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    command = [*pip, "install", "--retries", RETRIES, "-r", str(lock)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"pip needed more than {LIMIT_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    stamp(folder).write_text(lock.read_text())
    return ""


def main() -> int:
    """Install what is missing. Return 1, and say why, where that is not possible."""
    for folder, lock in locks().items():
        if is_installed(folder, lock):
            continue
        print(f"Installing {lock.relative_to(Path.cwd())} (once; about half a minute) …", flush=True)
        reason = install(folder, lock)
        if reason:
            print(f"It cannot be installed: {reason}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
