"""Settings, each read from the environment: safe by default, loud on a wrong value."""

from __future__ import annotations

import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from project.environment import (
    CENTURY_DAYS,
    CENTURY_S,
    CHILDREN,
    PORTS,
    READ,
    Variable,
    env,
    env_address,
    env_choice,
    env_database,
    env_file,
    env_flag,
    env_hosts,
    env_int,
    env_issuer,
    env_list,
    env_networks,
    env_number,
    env_origins,
    env_path,
    env_public_url,
    env_secret,
    env_syslog,
    env_weights,
    keep,
    require_address,
)
from project.logs import FORMATS, configure
from servers.logins.openid_settings import Grant, grants_in
from servers.microversions import ceiling
from servers.scheduler import FILTERS
from servers.states import WEIGHTED_CLASSES
from servers.web.limits import BODY_BYTES

os.umask(0o077)  # of what any process of ours writes: data, logs and secrets are nobody else's

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
        "AUDIT_SYSLOG",
        "WEB_PROCESSES",
        "WEB_THREADS",
        "WORKERS",
        "WORKER_GRACE",
        "DEBUG",
        "ALLOW_ROOT",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "BEHIND_PROXY",
        "TRUSTED_PROXIES",
        "HSTS_SECONDS",
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


def env_grants(name: str, path: str) -> tuple[Grant, ...]:
    """Return what the file of the variable `name` says that groups give; raise ImproperlyConfigured for anything else."""
    try:
        grants = grants_in(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{name} must be a file that says what groups give; {path}: {error}"
        ) from error
    keep(Variable(name.removesuffix("_FILE"), "grants", [list(grant) for grant in grants]))
    return grants


def kept_secret(path: Path) -> str:
    """Return the secret that is kept in `path`, readable by the owner alone; make it when there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text().strip()


# ------------------------------------------------------------------------------------- where things are

DATA_DIR = env_path("DATA_DIR", BASE_DIR / "data", folder=True)
PORT = env_int("PORT", 8774, 1, PORTS)
_public = env_public_url("PUBLIC_URL", f"http://127.0.0.1:{PORT}")
PUBLIC_URL = _public.geturl()
FORCE_SCRIPT_NAME = (
    _public.path or None
)  # before each address; the web server takes it off where a proxy does not
_host = f"[{_public.hostname}]" if ":" in str(_public.hostname) else str(_public.hostname)

DEBUG = env_flag("DEBUG", False)
SECRET_KEY = env_secret("SECRET_KEY", "") or kept_secret(DATA_DIR / "secret_key")
ALLOWED_HOSTS = env_hosts("ALLOWED_HOSTS", default=[_host, "localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_origins("CSRF_TRUSTED_ORIGINS", default=[f"{_public.scheme}://{_public.netloc}"])
BEHIND_PROXY = env_flag("BEHIND_PROXY", False)
TRUSTED_PROXIES = env_networks("TRUSTED_PROXIES", default=["127.0.0.0/8", "::1"])
if BEHIND_PROXY:  # of others than trusted proxies these headers are dropped: servers/logins/addresses.py
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    USE_X_FORWARDED_HOST = True
_https = _public.scheme == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{_public.path}/"
if _https:  # browsers take these by https, and below no path from this very host alone
    _only = "__Secure-" if _public.path else "__Host-"
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_only}sessionid", f"{_only}csrftoken"
CSRF_FAILURE_VIEW = "project.errors.form_not_believed"
SESSION_ENGINE = "servers.admin.sessions"
SESSION_IDLE_LIMIT_S = env_int("SESSION_IDLE_LIMIT", 3600, 60)
SESSION_LIMIT_S = env_int("SESSION_LIMIT", 12 * 3600, 60)
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
HSTS_SECONDS = env_int("HSTS_SECONDS", 3600, 0)
SECURE_HSTS_SECONDS = HSTS_SECONDS * _https
HTTPS_IS_REQUIRED = _https and BEHIND_PROXY
HOST_IS_CHECKED_BY_REST = "ALLOWED_HOSTS" in os.environ
SECURE_CSP = {  # the name and the form that Django 6 has for it
    "default-src": ["'self'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "object-src": ["'none'"],
}

# ------------------------------------------------------------------------------------------- the engine

MAX_MICROVERSION = env.str("MAX_MICROVERSION", "")
ceiling(MAX_MICROVERSION)
MIGRATE_MAX_RETRIES = env_int("MIGRATE_MAX_RETRIES", -1, -1)
MAX_ATTEMPTS = env_int("MAX_ATTEMPTS", 3, 1)
MAX_CONCURRENT_LIVE_MIGRATIONS = env_int("MAX_CONCURRENT_LIVE_MIGRATIONS", 1, 1)
RESIZE_CONFIRM_WINDOW_S = env_int("RESIZE_CONFIRM_WINDOW", 0, 0, CENTURY_S)
LIVE_MIGRATION_COMPLETION_TIMEOUT_S = env_int("LIVE_MIGRATION_COMPLETION_TIMEOUT", 800, 0)
LIVE_MIGRATION_TIMEOUT_ACTION = env_choice(
    "LIVE_MIGRATION_TIMEOUT_ACTION", "abort", {"abort", "force_complete"}
)
LIVE_MIGRATION_BANDWIDTH_MIB_S = env_int("LIVE_MIGRATION_BANDWIDTH", 0, 0)
LIVE_MIGRATION_AUTO_CONVERGE = env_flag("LIVE_MIGRATION_AUTO_CONVERGE", True)
LIVE_MIGRATION_POST_COPY = env_flag("LIVE_MIGRATION_POST_COPY", False)
LIVE_MIGRATION_WITH_NATIVE_TLS = env_flag("LIVE_MIGRATION_WITH_NATIVE_TLS", False)
SYNC_CHECK_LIMIT_S = env_number("SYNC_CHECK_LIMIT", 20, 0.1)
LEASE_TTL_S = env_number("LEASE_TTL", 15, 1)
NO_PROGRESS_LIMIT_S = env_number("NO_PROGRESS_LIMIT", 300, 1)
RECONCILE_INTERVAL_S = env_number("RECONCILE_INTERVAL", 60, 0)
UNKNOWN_RETRY_S = env_number("UNKNOWN_RETRY", 15, 0.1)
MAX_FUTILE_ATTEMPTS = env_int("MAX_FUTILE_ATTEMPTS", 5, 1, 1000)
KEEP_ACTIONS_DAYS = env_int("KEEP_ACTIONS_DAYS", 90, 1, CENTURY_DAYS)
AUDIT_SYSLOG = env_syslog("AUDIT_SYSLOG", "/dev/log")
KEEP_TOKENS_DAYS = env_int("KEEP_TOKENS_DAYS", 1, 0, CENTURY_DAYS)
IDEMPOTENCY_KEEP_S = env_int("IDEMPOTENCY_KEEP", 24 * 3600, 60, CENTURY_S)
IDEMPOTENCY_CLAIM_S = env_number(
    "IDEMPOTENCY_CLAIM", max(120, 2 * SYNC_CHECK_LIMIT_S), SYNC_CHECK_LIMIT_S, CENTURY_S
)
IDENTITY = env_choice("IDENTITY", "embedded", {"embedded", "keystone"})
KEYSTONE_URL = env_address("KEYSTONE_URL", "")
KEYSTONE_USER = env.str("KEYSTONE_USER", "gantry")
KEYSTONE_PASSWORD = env_secret("KEYSTONE_PASSWORD", "")
KEYSTONE_PROJECT = env.str("KEYSTONE_PROJECT", "service")
KEYSTONE_DOMAIN_ID = env.str("KEYSTONE_DOMAIN_ID", "default")
KEYSTONE_TIMEOUT_S = env_int("KEYSTONE_TIMEOUT", 5, 1, 1_000_000)
KEYSTONE_TOKEN_CACHE_S = env_int("KEYSTONE_TOKEN_CACHE", 0, 0)
IMAGES = env_choice("IMAGES", "local", {"local", "glance"})
GLANCE_URL = env_address("GLANCE_URL", "")
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
TOKEN_LIFETIME_S = env_int("TOKEN_LIFETIME", 6 * 3600, 60, CENTURY_S)
APPLICATION_CREDENTIAL_LIMIT = env_int("APPLICATION_CREDENTIAL_LIMIT", 100, 0)
HEARTBEAT_LIMIT_S = env_number("HEARTBEAT_LIMIT", 60, 15)
RESET_NETWORK_GONE = env_flag("RESET_NETWORK_GONE", False)
IMAGE_METADATA_LIMIT = env_int("IMAGE_METADATA_LIMIT", 128, 0)
POLICY_FILE = env_file("POLICY_FILE", "")
ENFORCE_NEW_DEFAULTS = env_flag("ENFORCE_NEW_DEFAULTS", True)
SCHEDULER_FILTERS = env_list(
    "SCHEDULER_FILTERS",
    default=["driver", "compute", "capabilities", "image_properties", "anti_affinity", "affinity"],
    choices=set(FILTERS),
)
LIBVIRT_TIMEOUT_S = env_number("LIBVIRT_TIMEOUT", 30, 1)
LIBVIRT_SHUTDOWN_TIMEOUT_S = env_number("LIBVIRT_SHUTDOWN_TIMEOUT", 60, 0)
LIBVIRT_SHARED_POOLS = env.list("LIBVIRT_SHARED_POOLS", default=[])
SIMULATED_FLEET = env_path("SIMULATED_FLEET", DATA_DIR / "fleet.sqlite3")
IMAGE_DIR = env_path("IMAGE_DIR", DATA_DIR / "images", folder=True)
WEB_PROCESSES = env_int("WEB_PROCESSES", 2, 1, CHILDREN)
WEB_THREADS = env_int("WEB_THREADS", 8, 1, CHILDREN)
WORKERS = env_int("WORKERS", 4, 1, CHILDREN)
WORKER_GRACE_S = env_number("WORKER_GRACE", 5, 0)
QUEUE_AGE_LIMIT_S = env_number("QUEUE_AGE_LIMIT", 300, 1)
METRICS_PORT = env_int("METRICS_PORT", 0, 0, PORTS)
METRICS_DIR = DATA_DIR / "metrics"
QUEUE_WEIGHTS = env_weights("QUEUE_WEIGHTS", "moves=6,general=3,backups=1", WEIGHTED_CLASSES)
ALLOW_ROOT = env_flag("ALLOW_ROOT", False)
ADMIN_PASSWORD = env_secret("ADMIN_PASSWORD", "")

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
    "django_tasks",
    "django_tasks_db",
    "servers",
]
MIDDLEWARE = [
    "servers.monitoring.requests.Requests",  # outermost: it sees every answer
    "servers.logins.addresses.TrustedProxies",  # before whoever asks where a request comes from
    "servers.audit.requests.Acting",
    "project.security.Headers",
    "project.errors.RefusedByServer",
    "project.security.RightAddress",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "servers.admin.zone.ViewerZone",
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
_database = env_database("DATABASE_URL", DATA_DIR / "gantry.sqlite3")
_on_postgresql = _database["ENGINE"].endswith("postgresql")
_given = _database.get("OPTIONS", {})
# Nobody waits for a database for as long as a lease lasts: whoever holds one hears of it in time to try again.
DATABASE_WAIT_S = min(10, max(5, LEASE_TTL_S * 2 / 3))
_wait_ms = int(DATABASE_WAIT_S * 1000)
_database.setdefault("CONN_MAX_AGE", 60)  # a new one of SQLite reads the whole schema first, triggers and all
if _on_postgresql:
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
LOGIN_COOLOFF_S = env_int("LOGIN_COOLOFF", 300, 1, CENTURY_S)
LOGIN_KNOWN_DAYS = env_int("LOGIN_KNOWN_DAYS", 30, 1, CENTURY_DAYS)
LOGIN_QUEUE = env_int("LOGIN_QUEUE", 4, 0)
OIDC_ISSUER = env_issuer("OIDC_ISSUER", "")
OIDC_CLIENT_ID = env.str("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = env_secret("OIDC_CLIENT_SECRET", "")
OIDC_NAME = env.str("OIDC_NAME", "single sign-on")
OIDC_SCOPES = env.str("OIDC_SCOPES", "openid profile email")
OIDC_GROUPS_CLAIM = env.str("OIDC_GROUPS_CLAIM", "groups")
OIDC_GROUPS_FILE = env_file("OIDC_GROUPS_FILE", "")
OIDC_GROUPS: tuple[Grant, ...] = ()
OIDC_TIMEOUT_S = env_number("OIDC_TIMEOUT", 5, 0.1)
if OIDC_ISSUER:
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
SILENCED_SYSTEM_CHECKS = [
    *("models.W036", "models.W047"),
    *("security.W005", "security.W021"),  # HSTS: the other names of the domain are not ours to promise for
    "security.W008",  # project.security.RightAddress sends to https whoever comes through a proxy without
]

# ------------------------------------------------------------------------------------------- logging

LOG_LEVEL = env_choice("LOG_LEVEL", "INFO", {"DEBUG", "INFO", "WARNING", "ERROR"})
LOG_FORMAT = env_choice("LOG_FORMAT", "logfmt", FORMATS)
LOGGING = configure(LOG_LEVEL, LOG_FORMAT)

# ------------------------------------------------------------------------------- one deployment, many machines

SAME_EVERYWHERE: dict[str, Any] = {
    name: variable.value for name, variable in READ.items() if name not in OF_THIS_MACHINE
}
"""The value of every variable that is not of one machine. Processes that have other ones stay out (servers/deployment)."""
