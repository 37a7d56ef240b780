"""Reading settings from the environment: each variable has a kind, and what its kind does not take is refused by name.

Every reader returns the value of one variable, keeps a row of it in READ, and raises ImproperlyConfigured with a sentence
that begins with the variable's name. What a secret says is never repeated.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from servers.logins.openid_settings import is_private

COUNT = 2**31 - 1
"""The highest whole number: what a column of the database holds."""
WAIT_S = 2_000_000.0
"""The longest wait, 23 days: poll(2) counts milliseconds in 32 bits."""
CENTURY_S = 36_500 * 86_400
CENTURY_DAYS = 36_500
"""The longest age or lifetime: with it no date leaves the calendar."""
PORTS = 65_535
CHILDREN = 1_000
"""The most processes, or threads, of one kind."""

YES, NO = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
PORT_OF = {"http": 80, "https": 443}
HOST = re.compile(r"\*|\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\]", re.IGNORECASE | re.ASCII)
"""What may stand in a list of hosts: a name, one that begins with a dot for all below it, an address, or `*` for all."""


@dataclass(frozen=True)
class Variable:
    """What is known of a variable once it has been read."""

    name: str
    kind: str
    value: Any = None
    """As it is compared between machines; None for a secret, and for what is of one machine by its kind."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    is_secret: bool = False


READ: dict[str, Variable] = {}
"""Every variable that has been read, by its name."""


def keep(variable: Variable) -> None:
    """Add a variable to READ."""
    READ[variable.name] = variable


def given(name: str) -> str | None:
    """Return what the environment says, None where it has no such variable."""
    text = os.environ.get(name)
    if text is not None and not is_text(text):
        raise ImproperlyConfigured(f"{name} must be UTF-8")
    return text


def is_text(text: str) -> bool:
    """Return whether bytes that became `text` were UTF-8: others stand in it as surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


Text = str
Texts = list[str]  # within the next class these names are its methods


class Environment:
    """Texts and lists of the environment, as they stand there."""

    def str(self, name: Text, default: Text) -> Text:
        """Return the text, without a look at what it says."""
        text = given(name)
        value = default if text is None else text
        keep(Variable(name, "text", value))
        return value

    def list(self, name: Text, default: Iterable[Text]) -> Texts:
        """Return what stands between commas, without spaces around it; what is empty is left out."""
        value = items(given(name), default)
        keep(Variable(name, "list", value))
        return value


env = Environment()


def items(text: str | None, default: Iterable[str]) -> list[str]:
    """Return what stands between the commas of `text`, or the default where there is no text."""
    found = list(default) if text is None else text.split(",")
    return [item.strip() for item in found if item.strip()]


def env_list(
    name: str, default: Iterable[str], choices: Collection[str] | None = None, *, may_be_empty: bool = True
) -> list[str]:
    """Return the list in the variable `name`, each item one of `choices` where those are given."""
    value = env.list(name, default)
    strange = [item for item in value if choices is not None and item not in choices]
    if strange:
        raise ImproperlyConfigured(
            f"{name} must be of {', '.join(sorted(choices or ()))}, by commas, not {strange[0]!r}"
        )
    if not value and not may_be_empty:
        raise ImproperlyConfigured(f"{name} must not be empty")
    return value


def env_choice(name: str, default: str, choices: set[str]) -> str:
    """Return the variable `name`, which is one of `choices`."""
    value = env.str(name, default)
    keep(Variable(name, "choice", value, choices=tuple(sorted(choices))))
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(sorted(choices))}, not {value!r}")
    return value


def env_number(name: str, default: float, minimum: float, maximum: float = WAIT_S) -> float:
    """Return the number in the variable `name`, from `minimum` to `maximum`; both are allowed."""
    value = _number(name, default, minimum, maximum)
    keep(Variable(name, "number", value, minimum, maximum))
    return value


def env_int(name: str, default: int, minimum: int, maximum: int = COUNT) -> int:
    """Return the whole number in the variable `name`, from `minimum` to `maximum`; both are allowed."""
    value = _number(name, default, minimum, maximum)
    if value != int(value):
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value:g}")
    keep(Variable(name, "whole number", value, minimum, maximum))
    return int(value)


def _number(name: str, default: float, minimum: float, maximum: float) -> float:
    text = given(name)
    try:
        if text is not None and ("_" in text or not text.isascii()):  # Python would read 1_000
            raise ValueError(f"could not convert string to float: {text!r}")
        value = float(default if text is None else text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number: {error}") from error
    if not value >= minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum:g}, not {value:g}")
    if value > maximum:
        raise ImproperlyConfigured(f"{name} must be at most {maximum:.15g}, not {value:g}")
    return value


def env_weights(name: str, default: str, classes: Collection[str]) -> dict[str, int]:
    """Return the weight of each class in the variable `name`; each has one, from 1 to 1000."""
    value = env.str(name, default)
    keep(Variable(name, "weights", value, choices=tuple(classes)))
    pairs = [pair.partition("=")[::2] for pair in value.replace(" ", "").split(",")]
    weights = {word: int(number) for word, number in pairs if re.fullmatch(r"[0-9]{1,9}", number)}
    if len(pairs) != len(weights) or set(weights) != set(classes) or not all_between(weights, 1, 1000):
        raise ImproperlyConfigured(
            f"{name} must be a whole number from 1 to 1000 for each of {', '.join(classes)}, as in {default}, not {value!r}"
        )
    return weights


def all_between(weights: dict[str, int], minimum: int, maximum: int) -> bool:
    """Return whether each weight is one from `minimum` to `maximum`."""
    return all(minimum <= weight <= maximum for weight in weights.values())


def env_flag(name: str, default: bool) -> bool:
    """Return whether the variable `name` says yes."""
    word = env.str(name, str(default)).strip().lower()
    if word not in YES | NO:
        raise ImproperlyConfigured(f"{name} must be true or false, not {word!r}")
    keep(Variable(name, "flag", word in YES))
    return word in YES


def env_networks(name: str, default: list[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks in the variable `name`."""
    value = env.list(name, default)
    keep(Variable(name, "networks", value))
    try:
        return tuple(ip_network(text) for text in value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be addresses or networks, by commas: {error}") from error


def env_path(name: str, default: Path, *, folder: bool = False) -> Path:
    """Return the path in the variable `name`, absolute, with `~` for a home; an empty text is the default.

    What is there already must be a folder, or must be none, as `folder` says.
    """
    text = given(name)
    keep(Variable(name, "folder" if folder else "file"))
    try:
        path = (Path(text).expanduser() if text else default).resolve()
        if path.exists() and path.is_dir() is not folder:
            raise ImproperlyConfigured(
                f"{name} must be a {'folder' if folder else 'file'}, and {path} is none"
            )
    except (OSError, RuntimeError) as error:  # a name that is too long, links in a circle, a home of nobody
        reason = getattr(error, "strerror", None) or error
        raise ImproperlyConfigured(f"{name} must be a path that can be used: {reason}") from error
    return path


def env_file(name: str, default: str) -> str:
    """Return the path in the variable `name`, at which there is a file; the default where it is empty."""
    if not given(name):
        keep(Variable(name, "file that is there"))
        return default
    path = env_path(name, Path())
    keep(Variable(name, "file that is there"))
    if not path.is_file():
        raise ImproperlyConfigured(f"{name} names {path}, which is not a file")
    return str(path)


def env_syslog(name: str, default: str) -> str | tuple[str, int]:
    """Return where the system's log listens: a socket of this machine, or host and port; empty for nowhere.

    The default is a socket, and holds where there is one.
    """
    text = given(name)
    value = default if text is None and Path(default).is_socket() else (text or "").strip()
    keep(Variable(name, "system log", value))
    host, _, port = value.rpartition(":")
    if not value or value.startswith("/"):
        return value
    if not host.strip("[]") or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= PORTS:
        raise ImproperlyConfigured(f"{name} must be a path, or host:port, not {value!r}")
    return host.strip("[]"), int(port)


# --------------------------------------------------------------------------------- addresses of the web


def env_address(name: str, default: str) -> str:
    """Return the address in the variable `name` without a slash at its end, as it is given; empty where it is."""
    value = env.str(name, default).strip().rstrip("/")
    keep(Variable(name, "address", value))
    if value:
        require_address(name, value)
    return value


def env_issuer(name: str, default: str) -> str:
    """Return the address in the variable `name` letter for letter, which is https, or this machine's own."""
    value = env.str(name, default).strip()
    keep(Variable(name, "issuer", value))
    if value:
        require_address(name, value)
        if not is_private(value):
            raise ImproperlyConfigured(
                f"{name} must be an https address, or one of this machine, not {value!r}"
            )
    return value


def require_address(name: str, value: str) -> SplitResult:
    """Return the parts of an address of the web: a scheme, a host, perhaps a port and a path, and nothing else."""
    wrong = ImproperlyConfigured(f"{name} must be an http or https address, not {value!r}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:  # a port that is none, or brackets around what is no IPv6 address
        raise wrong from error
    if parts.scheme not in PORT_OF or not parts.hostname or port == 0:
        raise wrong
    if "@" in parts.netloc or parts.query or parts.fragment or re.search(r"[\s\\\"'<>]", value):
        raise ImproperlyConfigured(
            f"{name} must be an http or https address without a password, '?', '#', quotes and spaces"
        )
    return parts


def env_public_url(name: str, default: str) -> SplitResult:
    """Return how browsers write the address in the variable `name`: host in ASCII and small, no port that goes without saying."""
    parts = require_address(name, env.str(name, default).strip().rstrip("/"))
    keep(Variable(name, "address"))
    assert parts.hostname is not None
    try:
        host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    except UnicodeError as error:
        raise ImproperlyConfigured(f"{name} must name a host, not {parts.hostname!r}: {error}") from error
    host = f"[{host}]" if ":" in host else host
    if not HOST.fullmatch(host):
        raise ImproperlyConfigured(f"{name} must name a host, not {parts.hostname!r}")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ImproperlyConfigured(
            f"{name} must have a path of letters, digits and '-._~', not {parts.path!r}"
        )
    port = f":{parts.port}" if parts.port not in {None, PORT_OF[parts.scheme]} else ""
    return SplitResult(parts.scheme, f"{host}{port}", parts.path, "", "")


def env_hosts(name: str, default: list[str]) -> list[str]:
    """Return the hosts in the variable `name`, without ports; IPv6 addresses stand in brackets."""
    value = env_list(name, default, may_be_empty=False)
    keep(Variable(name, "hosts", value))
    strange = [host for host in value if not HOST.fullmatch(host)]
    if strange:
        raise ImproperlyConfigured(f"{name} must be host names without ports, by commas, not {strange[0]!r}")
    return value


def env_origins(name: str, default: list[str]) -> list[str]:
    """Return the origins in the variable `name`: a scheme and a host, perhaps a port; `*.` stands for all below a name."""
    value = [origin.rstrip("/") for origin in env.list(name, default)]
    keep(Variable(name, "origins", value))
    for origin in value:
        if require_address(name, origin).path:
            raise ImproperlyConfigured(f"{name} must be addresses without paths, by commas, not {origin!r}")
    return value


# --------------------------------------------------------------------------------------------- secrets


def env_secret(name: str, default: str) -> str:
    """Return the secret: the variable `name`, what is in the file that `name`_FILE names, or systemd's credential `name`.

    Two of them are one too many.
    """
    keep(Variable(name, "secret", is_secret=True))
    text, file, kept = given(name), given(f"{name}_FILE"), os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(kept) / name if kept else None
    sources = {
        name: bool(text),
        f"{name}_FILE": bool(file),
        f"the credential {name}": credential is not None and credential.exists(),
    }
    found = [source for source, is_there in sources.items() if is_there]
    if len(found) > 1:
        raise ImproperlyConfigured(f"{name} must be given once, not by {' and by '.join(found)}")
    if file:
        return secret_in(Path(file).expanduser(), f"{name}_FILE", is_private=True)
    if credential is not None and found:  # who may read it is systemd's matter
        return secret_in(credential, found[0], is_private=False)
    return text or default


def secret_in(path: Path, source: str, *, is_private: bool) -> str:
    """Return what a file says, without the end of its line; refuse one that others than its owner and group may read."""
    try:
        with path.open("rb") as file:
            if is_private and os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                raise ImproperlyConfigured(
                    f"{source} must not name a file that everybody may read: chmod o= {path}"
                )
            text = file.read().decode()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{source} must name a file that can be read, not {path}: {error.strerror}"
        ) from error
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{source} must name a text in UTF-8: {path}") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise ImproperlyConfigured(f"{source} must name a file in which the secret stands: {path} is empty")
    return text


DATABASES = {"sqlite": "sqlite3", **dict.fromkeys(environ.Env.POSTGRES_FAMILY[:4], "postgresql")}
"""The kinds of databases, by how their addresses begin."""


def env_database(name: str, default: Path) -> dict[str, Any]:
    """Return Django's settings of the database whose address the secret `name` says; without one SQLite in the file `default`."""
    address = env_secret(name, "")
    if not address:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(default)}
    form = ImproperlyConfigured(
        f"{name} must be sqlite:///path or postgres://user:password@host:port/name; there %, +, #, ? and / of a "
        "path, user or password are %25, %2B, %23, %3F and %2F"
    )
    scheme, _, rest = address.partition("://")
    before, mark, options = rest.partition("?")
    try:
        is_cut = bool(urlsplit(address).fragment and urlsplit(address).path)
        if scheme not in DATABASES or is_cut or (scheme == "sqlite" and mark):
            raise form
        plus = before.replace("+", "%2B")  # django-environ takes it for a space
        found: dict[str, Any] = environ.Env.db_url_config(f"{scheme}://{plus}{mark}{options}")
    except ValueError:
        raise form from None
    if found["NAME"] in {"", ":memory:"} or not isinstance(found.get("CONN_MAX_AGE", 0), int | None):
        raise form
    if scheme == "sqlite":
        found["NAME"] = str(Path(found["NAME"]).resolve())
    return found
