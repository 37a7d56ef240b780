"""The OpenID provider of `tests.e2e.provider`, started and stopped; Gantry knows it by its address alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError

from tests.running import ROOT, Running, free_port

CLIENT, SECRET = "gantry", "a secret of a test"
GROUPS = "- {group: operators, role: admin, system: all}\n"
READY_IN_S = 60.0


@dataclass(frozen=True)
class Provider:
    """An address that is another site than Gantry's, so that cookies are what they are between two hosts."""

    port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    def settings(self, folder: Path) -> dict[str, str]:
        """Return with what Gantry is started that is to know it."""
        groups = folder / "groups.yaml"
        groups.write_text(GROUPS)
        return {
            "OIDC_ISSUER": f"{self.address}/o",
            "OIDC_CLIENT_ID": CLIENT,
            "OIDC_CLIENT_SECRET": SECRET,
            "OIDC_NAME": "Example",
            "OIDC_GROUPS_FILE": str(groups),
        }

    @contextmanager
    def running(self, gantry: Running, **people: str) -> Iterator[None]:
        """Let it answer during the block, for people and their groups, by commas."""
        with TemporaryDirectory(prefix="provider-") as folder:
            environment = {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "tests.e2e.provider.settings",
                "PROVIDER_ADDRESS": self.address,
                "PROVIDER_PORT": str(self.port),
                "PROVIDER_DATABASE": f"{folder}/provider.sqlite3",
                "PROVIDER_PEOPLE": " ".join(f"{name}:{groups}" for name, groups in people.items()),
                "PROVIDER_CLIENT": CLIENT,
                "PROVIDER_SECRET": SECRET,
                "PROVIDER_RETURN": f"{gantry.address}/admin/login/sign-on/return/",
            }
            log = Path(folder) / "log"
            with log.open("wb") as output:
                command = [sys.executable, "-m", "tests.e2e.provider"]
                process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
            try:
                self.wait_until_ready(process, log)
                yield
            finally:
                process.terminate()
                process.wait(timeout=30)

    def wait_until_ready(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Wait until it answers. Raises RuntimeError with what it has said."""
        limit = time.monotonic() + READY_IN_S
        while True:
            try:
                urllib.request.urlopen(
                    f"{self.address}/o/.well-known/openid-configuration", timeout=5
                ).close()
            except URLError:
                if process.poll() is not None or time.monotonic() > limit:
                    raise RuntimeError(f"the provider does not come up:\n{log.read_text()}") from None
                time.sleep(0.2)
            else:
                return
