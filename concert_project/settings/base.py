"""Settings that every environment shares.

Every value that differs between installations is read from the environment here; `docs/operations.md` has the table.
"""

import base64
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from csp.constants import NONE, SELF, UNSAFE_EVAL
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from environs import Env, validate

from concert_project import __version__
from concert_project.schedule import BEAT_SCHEDULE

BASE_DIR = Path(__file__).resolve().parent.parent.parent

env = Env()

DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / ".data")))
DEBUG = False
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", [])
SECRET_KEY: str = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])
BASE_URL: str = env.str("BASE_URL", "http://127.0.0.1:8000")

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "csp",
    "pgtrigger",
    "apps.core.apps.CoreConfig",
    "apps.outbox.apps.OutboxConfig",
    "apps.api.apps.ApiConfig",
    "apps.accounts.apps.AccountsConfig",
    "apps.concerts.apps.ConcertsConfig",
    "apps.queue.apps.QueueConfig",
    "apps.payments.apps.PaymentsConfig",
    "apps.reservations.apps.ReservationsConfig",
    "apps.storefront.apps.StorefrontConfig",
    "apps.boxoffice.apps.BoxOfficeConfig",
    "apps.ops.apps.OpsConfig",
]

MIDDLEWARE = [
    "apps.api.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.api.request_log.RequestLogMiddleware",
    "apps.api.middleware.ApiPathMiddleware",
    "apps.storefront.middleware.ConstantPolicyMiddleware",
    "apps.api.middleware.UsableHeadersMiddleware",
    "apps.storefront.middleware.BodySizeMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "apps.api.middleware.NegotiatedLocaleMiddleware",
    "apps.storefront.middleware.VenueTimeMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "apps.boxoffice.middleware.AdminMiddleware",
]

ROOT_URLCONF = "concert_project.urls"
CSRF_FAILURE_VIEW = "apps.storefront.views.old_forms.refuse_form"
WSGI_APPLICATION = "concert_project.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Looked at first: some of them stand in for templates of the theme.
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- PostgreSQL -------------------------------------------------------------------------------------------------------

DATABASES: dict[str, Any] = {
    "default": env.dj_db_url(
        "DATABASE_URL",
        engine="apps.core.postgresql",
        conn_max_age=600,
        conn_health_checks=True,
    )
}
# Of the role that owns the tables: `manage.py migrate` takes it by itself, and nothing else does (`apps/core/migrating.py`).
if env.str("OWNER_DATABASE_URL", ""):
    DATABASES["owner"] = env.dj_db_url("OWNER_DATABASE_URL", engine="apps.core.postgresql")
for _database in DATABASES.values():
    _database.setdefault("OPTIONS", {})["connect_timeout"] = 3
    # For `apps/core/database.py`. Off behind a pooler that shares connections and does not carry prepared statements along.
    _database["OPTIONS"]["prepare_threshold"] = (
        0 if env.bool("DATABASE_PREPARED_STATEMENTS", True) else None
    )
# Milliseconds. A statement that waits longer is answered with 503 and tried again by the client. `manage.py migrate` sets them on
# the application's role in the database, where no pooler can lose them; no connection asks for them.
DATABASE_TIMEOUTS: dict[str, int] = {
    "lock_timeout": env.int("DATABASE_LOCK_TIMEOUT_MS", 3_000),
    "statement_timeout": env.int("DATABASE_STATEMENT_TIMEOUT_MS", 15_000),
    "idle_in_transaction_session_timeout": 30_000,
}
# A migration makes everybody wait who comes after it, so it gives way sooner; its work takes what it takes.
MIGRATION_TIMEOUTS = DATABASE_TIMEOUTS | {
    "lock_timeout": env.int("MIGRATION_LOCK_TIMEOUT_MS", 1_000),
    "statement_timeout": 0,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Valkey: three purposes with different needs, kept apart by key prefix when they share one server -----------------

QUEUE_URL: str = env.str("QUEUE_URL")
CACHE_URL: str = env.str("CACHE_URL")
BROKER_URL: str = env.str("BROKER_URL")
STORE_TIMEOUT: float = env.float("STORE_TIMEOUT_SECONDS", 0.3)

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": CACHE_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "SOCKET_CONNECT_TIMEOUT": STORE_TIMEOUT,
            "SOCKET_TIMEOUT": STORE_TIMEOUT,
        },
    }
}
DJANGO_REDIS_IGNORE_EXCEPTIONS = True  # a dead cache makes answers slower, never wrong
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True

# --- Celery -----------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = BROKER_URL
CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE
CELERY_BEAT_SCHEDULER = "concert_project.beat:FileScheduler"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 110
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "queue.admit_visitors": {"queue": "admission"},
}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": "celery:",
    # Above the longest task: a shorter one would run a task a second time beside itself.
    "visibility_timeout": 600,
    # A committed sale must not wait for a broker that does not answer.
    "max_retries": 0,
    "socket_timeout": 1.5,
    "socket_connect_timeout": 0.5,
    "socket_keepalive": True,
}

# --- Accounts and sessions --------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
ACCESS_TOKEN_LIFETIME = timedelta(hours=12)
PASSWORD_HASHERS = [
    "apps.accounts.hashers.Argon2PasswordHasher",
    "apps.accounts.hashers.PBKDF2PasswordHasher",
]
# In one process; as many more wait. Twice this must stay below its threads, or a crowd that logs in leaves none to the queue.
PASSWORD_HASHES_AT_ONCE: int = env.int("PASSWORD_HASHES_AT_ONCE", 1, validate=validate.Range(min=1))
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "name")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
_AT_LEAST_ONE = validate.Range(min=1)
# Of an account and from a network: how many failed logins are free, and the seconds after which one is forgotten.
LOGIN_FAILURES: tuple[tuple[int, int], tuple[int, int]] = (
    (
        env.int("LOGIN_ACCOUNT_FAILURES", 10, validate=_AT_LEAST_ONE),
        env.int("LOGIN_ACCOUNT_FORGET_SECONDS", 600, validate=_AT_LEAST_ONE),
    ),
    (
        env.int("LOGIN_NETWORK_FAILURES", 30, validate=_AT_LEAST_ONE),
        env.int("LOGIN_NETWORK_FORGET_SECONDS", 20, validate=_AT_LEAST_ONE),
    ),
)
# Seconds: the first, which each further failure doubles, and the longest.
LOGIN_WAITS: tuple[int, int] = (
    env.int("LOGIN_WAIT_SECONDS", 5, validate=_AT_LEAST_ONE),
    env.int("LOGIN_WAIT_MAX_SECONDS", 900, validate=_AT_LEAST_ONE),
)
LOGIN_KNOWN_DAYS: int = env.int("LOGIN_KNOWN_DAYS", 30, validate=validate.Range(min=0))
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_HTTPONLY = True

# --- Business rules (the per-concert ones are columns that staff edit) ------------------------------------------------

HOLD_TIME = timedelta(seconds=env.int("HOLD_SECONDS", 300))
CANCELLATION_WINDOW = timedelta(hours=env.int("CANCELLATION_HOURS", 24))
CHARGE_LIMIT = 1_000_000  # won at a time
BALANCE_LIMIT = 10_000_000  # won
# Won, of one reservation in all: above it, what staff give back needs a second person.
REFUND_LIMIT_WITHOUT_APPROVAL = env.int("REFUND_LIMIT_WITHOUT_APPROVAL", 500_000)
# Won. Corrections of one balance within a day that are more than this need a second person.
CORRECTION_APPROVAL_ABOVE: int = env.int(
    "CORRECTION_APPROVAL_ABOVE", 100_000, validate=validate.Range(min=0)
)

# --- How long rows are kept that are not needed for ever --------------------------------------------------------------

IDEMPOTENCY_RETENTION = timedelta(
    # The API promises a day.
    hours=env.int("IDEMPOTENCY_RETENTION_HOURS", 24, validate=validate.Range(min=24))
)
EVENT_RETENTION = timedelta(
    days=env.int("EVENT_RETENTION_DAYS", 90, validate=validate.Range(min=2))
)
UNPAID_HOLD_RETENTION = timedelta(
    # Above that of the answers that name them.
    days=max(
        env.int("UNPAID_HOLD_RETENTION_DAYS", 30, validate=validate.Range(min=2)),
        math.ceil(IDEMPOTENCY_RETENTION / timedelta(days=1)) + 1,
    )
)
QUEUE_EXIT_RETENTION = timedelta(
    days=env.int("QUEUE_EXIT_RETENTION_DAYS", 90, validate=validate.Range(min=1))
)
ADMIN_LOG_RETENTION = timedelta(
    days=env.int("ADMIN_LOG_RETENTION_DAYS", 3 * 365, validate=validate.Range(min=90))
)
# Beyond their end.
ACCESS_TOKEN_RETENTION = timedelta(
    days=env.int("ACCESS_TOKEN_RETENTION_DAYS", 0, validate=validate.Range(min=0))
)
SESSION_RETENTION = timedelta(
    days=env.int("SESSION_RETENTION_DAYS", 0, validate=validate.Range(min=0))
)

# --- Waiting room -----------------------------------------------------------------------------------------------------


def _queue_token_keys() -> list[tuple[str, bytes]]:
    """`kid:base64url,kid:base64url`: the first signs, all verify."""
    entries: list[str] = env.list("QUEUE_TOKEN_KEYS")
    pairs = [entry.partition(":")[::2] for entry in entries]
    return [(kid, base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))) for kid, key in pairs]


QUEUE_TOKEN_KEYS = _queue_token_keys()

# --- The outside data platform ----------------------------------------------------------------------------------------

WEBHOOK_URL: str = env.str("WEBHOOK_URL", "")
WEBHOOK_SECRETS: list[str] = env.list(
    "WEBHOOK_SECRETS"
)  # every one signs, so that they can be rotated
WEBHOOK_TIMEOUT: float = env.float("WEBHOOK_TIMEOUT_SECONDS", 5.0)

# --- HTTP API ---------------------------------------------------------------------------------------------------------

NUM_PROXIES: int = env.int(
    "NUM_PROXIES", 0
)  # trusted proxies in front, each appending to X-Forwarded-For
RATE_LIMIT_ENABLED: bool = env.bool("RATE_LIMIT_ENABLED", True)
RATE_LIMITS = {"register": 5, "join": 60, "hold": 30, "charge": 30, "write": 60}  # calls per minute
_known = validate.ContainsOnly(RATE_LIMITS)
RATE_LIMITS |= env.dict("RATE_LIMITS", {}, subcast_values=int, validate=_known)
MAX_BODY_BYTES = 64 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
SEAT_FILE_MAX_BYTES = 9 * 1024 * 1024  # of a form with a file of 60,000 seats and long names

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apps.accounts.authentication.AccessTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["apps.api.parsers.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "apps.api.renderers.ProblemJSONRenderer",
    ],
    "DEFAULT_SCHEMA_CLASS": "apps.api.schema.EnvelopeAutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "apps.api.exceptions.render_exception",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "COERCE_DECIMAL_TO_STRING": False,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Encore",
    "DESCRIPTION": (
        "Concert reservations through a fair waiting room. Every answer is an envelope of `code`, `message` and `data`; "
        "programs read `code`, people read `message` (English or Korean by `Accept-Language`)."
    ),
    "VERSION": __version__,
    "OAS_VERSION": "3.1.0",
    "LICENSE": {"name": "MIT"},
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "PATH_CONVERTER_OVERRIDES": {
        "int64": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 2**63 - 1}
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.api.schema.share_parts",
    ],
    "ENUM_NAME_OVERRIDES": {
        "SeatStatus": ["AVAILABLE", "HELD", "RESERVED"],
        "HoldStatus": ["HELD", "CONFIRMED", "RELEASED", "EXPIRED"],
        "ReservationStatus": ["CONFIRMED", "CANCELLED"],
        "QueueTokenStatus": ["WAITING", "ACTIVE", "EXPIRED"],
        "Grade": ["VIP", "R", "S", "A"],
        "SpecialSeatKind": ["WHEELCHAIR", "COMPANION", "AISLE", "RESTRICTED_VIEW"],
        "WantedSeatKind": ["WHEELCHAIR"],
        "SuccessCode": ["SUCCESS"],
    },
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
    # The API explorer starts from an inline script.
    "EXCLUDE_URL_PREFIXES": ["/api/docs/"],
}
# What is different in the admin: its theme evaluates expressions in attributes.
ADMIN_CONTENT_SECURITY_POLICY = {"script-src": [SELF, UNSAFE_EVAL]}

UNFOLD = {
    "SITE_TITLE": "Encore",
    "SITE_HEADER": "Encore",
    "SITE_SUBHEADER": _("Box office"),
    "SITE_ICON": {
        "light": lambda _request: static("boxoffice/mark.svg"),
        "dark": lambda _request: static("boxoffice/mark-dark.svg"),
    },
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda _request: static("storefront/favicon.svg"),
        }
    ],
    "STYLES": [lambda _request: static("boxoffice/admin.css")],
    "SCRIPTS": [
        lambda _request: static("boxoffice/styles.js"),
        lambda _request: static("boxoffice/menus.js"),
    ],
    # Those are in the style sheet: what stands here the theme writes into each page.
    "COLORS": lambda _request: {},
    "ENVIRONMENT": "apps.boxoffice.look.clocks",
    "SHOW_LANGUAGES": True,
    "LANGUAGES": {"action": reverse_lazy("storefront:language")},
    "SIDEBAR": {"navigation": "apps.boxoffice.navigation.sidebar"},
    "DASHBOARD_CALLBACK": "apps.boxoffice.dashboard.dashboard",
}

# --- Languages, static files ------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ko", _("Korean"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600  # seconds
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
FORMAT_MODULE_PATH = "concert_project.formats"
TIME_ZONE = "UTC"
USE_TZ = True
LOGIN_URL = "storefront:login"
LOGIN_REDIRECT_URL = (
    "admin:index"  # of the admin; the storefront says where each of its logins leads
)
VENUE_TIME_ZONE = "Asia/Seoul"

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(DATA_DIR / "static")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "concert_project.static_files.FingerprintedFilesStorage"},
}

# --- Logs -------------------------------------------------------------------------------------------------------------

LOG_LEVEL: str = env.str("LOG_LEVEL", "INFO")
LOG_FORMAT: str = env.str("LOG_FORMAT", "json")
DJANGO_STRUCTLOG_CELERY_ENABLED = True

_LOG_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_LOG_PROCESSORS,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _LOG_PROCESSORS,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        },
        "console": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _LOG_PROCESSORS,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(
                    colors=False, exception_formatter=structlog.dev.plain_traceback
                ),
            ],
        },
    },
    "handlers": {"stream": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stream"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        # Each is a 400 in the request log; a caller can send thousands.
        "django.security": {"level": "CRITICAL"},
        "django.security.csrf": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "encore.requests": {"level": env.str("REQUEST_LOG_LEVEL", "INFO")},
        # Below it are tasks that expired while no worker ran, one line each: hundreds after a pause.
        "django_structlog.celery": {"level": "ERROR"},
    },
}
