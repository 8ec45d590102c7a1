"""A real deployment: refuses to start without its secrets, and speaks HTTPS only."""

from django.core.exceptions import ImproperlyConfigured

from concert_project.settings.base import *  # noqa: F403
from concert_project.settings.base import QUEUE_TOKEN_KEYS, SECRET_KEY, env

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")
BASE_URL = env.str("BASE_URL")
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", [BASE_URL])

# A variable that was not filled in arrives from an orchestrator as an empty one.
_NEEDED = "ALLOWED_HOSTS BASE_URL QUEUE_URL CACHE_URL BROKER_URL QUEUE_TOKEN_KEYS WEBHOOK_SECRETS"
for _name in _NEEDED.split():
    if not globals()[_name]:
        raise ImproperlyConfigured(f"{_name} must not be empty.")
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("SECRET_KEY must have at least 50 characters.")
if any(not kid or len(key) < 32 for kid, key in QUEUE_TOKEN_KEYS):
    raise ImproperlyConfigured(
        "QUEUE_TOKEN_KEYS must be kid:base64url pairs, 32 bytes or more each."
    )

SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.int("NUM_PROXIES", 0) else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600
# These bind every name below the domain for a year, also those of other services: off unless asked for.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", False)
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # they ask for these two
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
LANGUAGE_COOKIE_SECURE = True
