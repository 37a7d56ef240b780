"""Settings, each read from the environment: safe by default, loud on a wrong value."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from project.logs import FORMATS, configure
from servers.logins.openid_settings import Grant, grants_in, is_private
from servers.states import WEIGHTED_CLASSES
from servers.web.limits import BODY_BYTES

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

OF_THIS_MACHINE = frozenset(
    [
        "DATA_DIR",
        "PORT",
        "PUBLIC_URL",
        "DATABASE_URL",
        "SIMULATED_FLEET",
        "IMAGE_DIR",
        "POLICY_FILE",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "METRICS_PORT",
        "QUEUE_AGE_LIMIT",
        "WEB_PROCESSES",
        "WEB_THREADS",
        "WORKERS",
        "WORKER_GRACE",
        "DEBUG",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "BEHIND_PROXY",
        "TRUSTED_PROXIES",
        "LOGIN_QUEUE",
        "SECRET_KEY",
        "ADMIN_PASSWORD",
        "KEYSTONE_PASSWORD",
        "RECONCILE_INTERVAL",
        "LIBVIRT_TIMEOUT",
        "KEYSTONE_TIMEOUT",
        "OIDC_CLIENT_SECRET",
        "OIDC_GROUPS_FILE",
        "OIDC_TIMEOUT",
        "GLANCE_TIMEOUT",
    ]
)
"""Variables that may differ between machines on one database: paths, addresses, patience, and secrets, which are told apart elsewhere."""
SAME_EVERYWHERE: dict[str, Any] = {}
"""The value of every other variable. Processes that have other ones stay out (servers/deployment)."""


class Environment(environ.Env):  # type: ignore[misc]
    """The environment; what is read from it is kept in SAME_EVERYWHERE."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        return shared(var, super().get_value(var, *args, **kwargs))


def shared(name: str, value: Any) -> Any:
    """Return the value; keep it in SAME_EVERYWHERE unless the variable is of this machine."""
    if name not in OF_THIS_MACHINE:
        SAME_EVERYWHERE[name] = value
    return value


env = Environment()


def env_choice(name: str, default: str, choices: set[str]) -> str:
    """Return the variable `name`; raise ImproperlyConfigured when it is none of `choices`."""
    value: str = env.str(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(sorted(choices))}, not {value!r}")
    return value


def env_number(name: str, default: float, minimum: float) -> float:
    """Return the number in the variable `name`; raise ImproperlyConfigured when it is below `minimum`."""
    try:
        value: float = env.float(name, default)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number: {error}") from error
    if not value >= minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum:g}, not {value:g}")
    return value


def env_int(name: str, default: int, minimum: int) -> int:
    """Return the whole number in the variable `name`; raise ImproperlyConfigured when it is below `minimum`."""
    value = env_number(name, default, minimum)
    if value != int(value):
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value:g}")
    return int(value)


def env_weights(name: str, default: str, classes: Collection[str]) -> dict[str, int]:
    """Return the weight of each class in the variable `name`; raise ImproperlyConfigured unless each has one, from 1."""
    value = env.str(name, default)
    pairs = [pair.partition("=")[::2] for pair in value.replace(" ", "").split(",")]
    weights = {word: int(number) for word, number in pairs if number.isascii() and number.isdigit()}
    if len(pairs) != len(weights) or set(weights) != set(classes) or min(weights.values()) < 1:
        raise ImproperlyConfigured(
            f"{name} must be a whole number from 1 for each of {', '.join(classes)}, as in {default}, not {value!r}"
        )
    return weights


def env_flag(name: str, default: bool) -> bool:
    """Return whether the variable `name` says yes; raise ImproperlyConfigured when it says neither yes nor no."""
    word = env.str(name, str(default)).lower()
    if word not in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        raise ImproperlyConfigured(f"{name} must be true or false, not {word!r}")
    return bool(shared(name, word in {"true", "yes", "on", "1"}))


def env_networks(name: str, default: list[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks in the variable `name`; raise ImproperlyConfigured for what is none."""
    try:
        return tuple(ip_network(text.strip()) for text in env.list(name, default=default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be addresses or networks, by commas: {error}") from error


def require_address(name: str, value: str) -> None:
    """Do nothing when `value` is an address of the web; raise ImproperlyConfigured otherwise."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ImproperlyConfigured(f"{name} must be an http or https address, not {value!r}")


def env_grants(name: str, path: str) -> tuple[Grant, ...]:
    """Return what the file of the variable `name` says that groups give; raise ImproperlyConfigured for anything else."""
    try:
        grants = grants_in(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{name} must be a file that says what groups give; {path}: {error}"
        ) from error
    shared(name.removesuffix("_FILE"), [list(grant) for grant in grants])
    return grants


def kept_secret(path: Path) -> str:
    """Return the secret that is kept in `path`, readable by the owner alone; make it when there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text().strip()


# ------------------------------------------------------------------------------------- where things are

DATA_DIR = Path(env.str("DATA_DIR", "") or BASE_DIR / "data").resolve()
PORT = env_int("PORT", 8774, 1)
PUBLIC_URL = env.str("PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
require_address("PUBLIC_URL", PUBLIC_URL)
_public = urlsplit(PUBLIC_URL)

DEBUG = env_flag("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "") or kept_secret(DATA_DIR / "secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[_public.hostname, "localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[PUBLIC_URL])
BEHIND_PROXY = env_flag("BEHIND_PROXY", False)
TRUSTED_PROXIES = env_networks("TRUSTED_PROXIES", default=["127.0.0.0/8", "::1"])
if BEHIND_PROXY:  # of others than trusted proxies these headers are dropped: servers/logins/addresses.py
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _public.scheme == "https"
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "servers.admin.sessions"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

# ------------------------------------------------------------------------------------------- the engine

MAX_MICROVERSION = env.str("MAX_MICROVERSION", "")
MIGRATE_MAX_RETRIES = env_int("MIGRATE_MAX_RETRIES", -1, -1)
MAX_ATTEMPTS = env_int("MAX_ATTEMPTS", 3, 1)
MAX_CONCURRENT_LIVE_MIGRATIONS = env_int("MAX_CONCURRENT_LIVE_MIGRATIONS", 1, 1)
RESIZE_CONFIRM_WINDOW_S = env_int("RESIZE_CONFIRM_WINDOW", 0, 0)
LIVE_MIGRATION_COMPLETION_TIMEOUT_S = env_int("LIVE_MIGRATION_COMPLETION_TIMEOUT", 800, 0)
LIVE_MIGRATION_TIMEOUT_ACTION = env_choice(
    "LIVE_MIGRATION_TIMEOUT_ACTION", "abort", {"abort", "force_complete"}
)
LIVE_MIGRATION_BANDWIDTH_MIB_S = env_int("LIVE_MIGRATION_BANDWIDTH", 0, 0)
LIVE_MIGRATION_AUTO_CONVERGE = env_flag("LIVE_MIGRATION_AUTO_CONVERGE", True)
LIVE_MIGRATION_POST_COPY = env_flag("LIVE_MIGRATION_POST_COPY", False)
LIVE_MIGRATION_WITH_NATIVE_TLS = env_flag("LIVE_MIGRATION_WITH_NATIVE_TLS", False)
SYNC_CHECK_LIMIT_S = env_number("SYNC_CHECK_LIMIT", 20, 0.1)
LEASE_TTL_S = env_number("LEASE_TTL", 15, 0.2)
NO_PROGRESS_LIMIT_S = env_number("NO_PROGRESS_LIMIT", 300, 1)
RECONCILE_INTERVAL_S = env_number("RECONCILE_INTERVAL", 60, 0)
UNKNOWN_RETRY_S = env_number("UNKNOWN_RETRY", 15, 0.1)
MAX_FUTILE_ATTEMPTS = env_int("MAX_FUTILE_ATTEMPTS", 5, 1)
KEEP_ACTIONS_DAYS = env_int("KEEP_ACTIONS_DAYS", 90, 1)
KEEP_TOKENS_DAYS = env_int("KEEP_TOKENS_DAYS", 1, 0)
IDEMPOTENCY_KEEP_S = env_int("IDEMPOTENCY_KEEP", 24 * 3600, 60)
IDEMPOTENCY_CLAIM_S = env_number("IDEMPOTENCY_CLAIM", max(120, 2 * SYNC_CHECK_LIMIT_S), SYNC_CHECK_LIMIT_S)
IDENTITY = env_choice("IDENTITY", "embedded", {"embedded", "keystone"})
KEYSTONE_URL = env.str("KEYSTONE_URL", "").rstrip("/")
KEYSTONE_USER = env.str("KEYSTONE_USER", "gantry")
KEYSTONE_PASSWORD = env.str("KEYSTONE_PASSWORD", "")
KEYSTONE_PROJECT = env.str("KEYSTONE_PROJECT", "service")
KEYSTONE_DOMAIN_ID = env.str("KEYSTONE_DOMAIN_ID", "default")
KEYSTONE_TIMEOUT_S = env_int("KEYSTONE_TIMEOUT", 5, 1)
KEYSTONE_TOKEN_CACHE_S = env_int("KEYSTONE_TOKEN_CACHE", 0, 0)
IMAGES = env_choice("IMAGES", "local", {"local", "glance"})
GLANCE_URL = env.str("GLANCE_URL", "").rstrip("/")
GLANCE_TIMEOUT_S = env_number("GLANCE_TIMEOUT", 60, 0.1)
if IDENTITY == "keystone":
    require_address("KEYSTONE_URL", KEYSTONE_URL)
    if not KEYSTONE_PASSWORD:
        raise ImproperlyConfigured("IDENTITY=keystone needs KEYSTONE_PASSWORD, the password of KEYSTONE_USER")
if IMAGES == "glance":
    require_address("GLANCE_URL", GLANCE_URL)
    if IDENTITY != "keystone":
        raise ImproperlyConfigured(
            "IMAGES=glance needs IDENTITY=keystone: both have to know the same projects"
        )
TOKEN_LIFETIME_S = env_int("TOKEN_LIFETIME", 6 * 3600, 60)
APPLICATION_CREDENTIAL_LIMIT = env_int("APPLICATION_CREDENTIAL_LIMIT", 100, 0)
HEARTBEAT_LIMIT_S = env_number("HEARTBEAT_LIMIT", 60, 1)
RESET_NETWORK_GONE = env_flag("RESET_NETWORK_GONE", False)
IMAGE_METADATA_LIMIT = env_int("IMAGE_METADATA_LIMIT", 128, 0)
POLICY_FILE = env.str("POLICY_FILE", "")
ENFORCE_NEW_DEFAULTS = env_flag("ENFORCE_NEW_DEFAULTS", True)
SCHEDULER_FILTERS = env.list(
    "SCHEDULER_FILTERS",
    default=["driver", "compute", "capabilities", "image_properties", "anti_affinity", "affinity"],
)
LIBVIRT_TIMEOUT_S = env_number("LIBVIRT_TIMEOUT", 30, 1)
LIBVIRT_SHUTDOWN_TIMEOUT_S = env_number("LIBVIRT_SHUTDOWN_TIMEOUT", 60, 0)
LIBVIRT_SHARED_POOLS = env.list("LIBVIRT_SHARED_POOLS", default=[])
SIMULATED_FLEET = Path(env.str("SIMULATED_FLEET", str(DATA_DIR / "fleet.sqlite3")))
IMAGE_DIR = Path(env.str("IMAGE_DIR", str(DATA_DIR / "images")))
WEB_PROCESSES = env_int("WEB_PROCESSES", 2, 1)
WEB_THREADS = env_int("WEB_THREADS", 8, 1)
WORKERS = env_int("WORKERS", 4, 1)
WORKER_GRACE_S = env_number("WORKER_GRACE", 5, 0)
QUEUE_AGE_LIMIT_S = env_number("QUEUE_AGE_LIMIT", 300, 1)
METRICS_PORT = env_int("METRICS_PORT", 0, 0)
METRICS_DIR = DATA_DIR / "metrics"
QUEUE_WEIGHTS = env_weights("QUEUE_WEIGHTS", "moves=6,general=3,backups=1", WEIGHTED_CLASSES)
ADMIN_PASSWORD = env.str("ADMIN_PASSWORD", "")

# -------------------------------------------------------------------------------------------- Django

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_fsm",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "simple_history",
    "django_tasks",
    "django_tasks_db",
    "servers",
]
MIDDLEWARE = [
    "servers.monitoring.requests.Requests",  # outermost: it sees every answer
    "servers.logins.addresses.TrustedProxies",  # before whoever asks where a request comes from
    "project.errors.RefusedByServer",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "servers.admin.zone.ViewerZone",
    "simple_history.middleware.HistoryRequestMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
APPEND_SLASH = False  # Nova answers 404 to a trailing slash (Nova contract E.4)
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"console": "servers.admin.tags"},
        },
    }
]
_database = env.db("DATABASE_URL", f"sqlite:///{DATA_DIR / 'gantry.sqlite3'}")
_on_postgresql = _database["ENGINE"].endswith("postgresql")
_given = _database.get("OPTIONS", {})
# Nobody waits for a database for as long as a lease lasts: whoever holds one hears of it in time to try again.
DATABASE_WAIT_S = min(10, max(5, LEASE_TTL_S * 2 / 3))
_wait_ms = int(DATABASE_WAIT_S * 1000)
if _on_postgresql:
    _database.setdefault("CONN_MAX_AGE", 60)
    _database.setdefault("CONN_HEALTH_CHECKS", True)
    _limits = f"-c lock_timeout={_wait_ms // 2} -c idle_in_transaction_session_timeout={_wait_ms}"
    _database["OPTIONS"] = {
        "connect_timeout": int(DATABASE_WAIT_S / 2),
        "keepalives_idle": 5,  # with the next two: a server that has vanished is given up after nine seconds
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": _wait_ms,
        **_given,
        "options": f"{_limits} {_given.get('options', '')}".strip(),
    }
elif _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = {
        **_given,
        "transaction_mode": "IMMEDIATE",  # a reader that becomes a writer would fail at once
        "timeout": DATABASE_WAIT_S,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "servers.User"
LOGIN_URL = "admin:login"
AUTHENTICATION_BACKENDS = ["servers.logins.checking.PasswordBackend"]
PASSWORD_HASHERS = ["servers.logins.hashing.Hasher"]
_VALIDATION = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": f"{_VALIDATION}.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("name", "email")},
    },
    {"NAME": f"{_VALIDATION}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATION}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATION}.NumericPasswordValidator"},
]
LOGIN_FAILURES_LIMIT = env_int("LOGIN_FAILURES_LIMIT", 10, 1)
LOGIN_ADDRESS_LIMIT = env_int("LOGIN_ADDRESS_LIMIT", 50, 1)
LOGIN_NAMES_LIMIT = env_int("LOGIN_NAMES_LIMIT", 15, 1)
LOGIN_TOTAL_LIMIT = env_int("LOGIN_TOTAL_LIMIT", 200, 1)
LOGIN_COOLOFF_S = env_int("LOGIN_COOLOFF", 300, 1)
LOGIN_KNOWN_DAYS = env_int("LOGIN_KNOWN_DAYS", 30, 1)
LOGIN_QUEUE = env_int("LOGIN_QUEUE", 4, 0)
OIDC_ISSUER = env.str("OIDC_ISSUER", "")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env.str("OIDC_CLIENT_SECRET", "")
OIDC_NAME = env.str("OIDC_NAME", "single sign-on")
OIDC_SCOPES = env.str("OIDC_SCOPES", "openid profile email")
OIDC_GROUPS_CLAIM = env.str("OIDC_GROUPS_CLAIM", "groups")
OIDC_GROUPS_FILE = env.str("OIDC_GROUPS_FILE", "")
OIDC_GROUPS: tuple[Grant, ...] = ()
OIDC_TIMEOUT_S = env_number("OIDC_TIMEOUT", 5, 0.1)
if OIDC_ISSUER:
    if not is_private(OIDC_ISSUER):
        raise ImproperlyConfigured(
            f"OIDC_ISSUER must be an https address, or one of this machine, not {OIDC_ISSUER!r}"
        )
    if not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET and OIDC_GROUPS_FILE):
        raise ImproperlyConfigured(
            "OIDC_ISSUER needs OIDC_CLIENT_ID, OIDC_CLIENT_SECRET and OIDC_GROUPS_FILE"
        )
    if "openid" not in OIDC_SCOPES.split():
        raise ImproperlyConfigured(f"OIDC_SCOPES must be words with openid among them, not {OIDC_SCOPES!r}")
    OIDC_GROUPS = env_grants("OIDC_GROUPS_FILE", OIDC_GROUPS_FILE)
    AUTHENTICATION_BACKENDS.append("servers.logins.openid.ProviderBackend")
SECOND_FACTOR = env_choice("SECOND_FACTOR", "off", {"off", "optional", "required"})
QUEUE = env_choice("QUEUE", "procrastinate" if _on_postgresql else "database", {"database", "procrastinate"})
if QUEUE == "procrastinate":
    if not _on_postgresql:
        raise ImproperlyConfigured("QUEUE must be database where DATABASE_URL does not name PostgreSQL")
    if find_spec("procrastinate") is None:
        raise ImproperlyConfigured(
            "QUEUE must be database until Procrastinate is there: pip install -r constraints-postgresql.txt"
        )
    INSTALLED_APPS.insert(INSTALLED_APPS.index("servers"), "procrastinate.contrib.django")
_QUEUES = {
    "database": "servers.engine.execution.queues.database.DatabaseQueue",
    "procrastinate": "servers.engine.execution.queues.procrastinate.ProcrastinateQueue",
}
TASKS = {"default": {"BACKEND": _QUEUES[QUEUE], "QUEUES": ["control", "default", "background"]}}
SPECTACULAR_SETTINGS = {
    "TITLE": "Gantry",
    "DESCRIPTION": "Nova's administrative server actions, with as much of Nova, Keystone and Glance as clients need.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": PUBLIC_URL}],
    "DEFAULT_GENERATOR_CLASS": "servers.api.schema.generator.Generator",
    "POSTPROCESSING_HOOKS": [],  # enums stay where they are used
    "SERVE_AUTHENTICATION": [],
    "SERVE_INCLUDE_SCHEMA": False,
}
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_BYTES
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True
SILENCED_SYSTEM_CHECKS = ["models.W036", "models.W047"]

# ------------------------------------------------------------------------------------------- logging

LOG_LEVEL = env_choice("LOG_LEVEL", "INFO", {"DEBUG", "INFO", "WARNING", "ERROR"})
LOG_FORMAT = env_choice("LOG_FORMAT", "logfmt", FORMATS)
LOGGING = configure(LOG_LEVEL, LOG_FORMAT)
