"""An authenticator: it shows the codes of a key, by the clock of the test."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from django_otp.oath import TOTP

from servers import clock
from servers.logins import second_factor
from servers.models import User

STEP_S = 30


@dataclass
class Device:
    """What somebody holds in his hand; `recovery` are the codes that he was shown."""

    key: bytes = field(default_factory=second_factor.new_key)
    recovery: list[str] = field(default_factory=list)

    @classmethod
    def typed(cls, text: str) -> Device:
        """Return a device into which somebody has typed the key of a page."""
        return cls(base64.b32decode(text))

    def code(self, steps: int = 0) -> str:
        """Return the code that it shows, or shows so many steps later."""
        totp = TOTP(self.key)
        totp.time = clock.now().timestamp() + steps * STEP_S
        return f"{totp.token():06d}"

    def wrong(self) -> str:
        """Return a code that it shows neither now nor soon."""
        near = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in ("000000", *(f"{n:06d}" for n in range(1, 9))) if code not in near)


def give_device(user: User) -> Device:
    """Return the device of a user who has set it up a minute ago."""
    device = Device()
    step = second_factor.step_of(device.key, device.code())
    assert step is not None
    device.recovery = second_factor.switch_on(user, device.key, step - 2)
    return device
