"""The test suite: `tests/servers.py` has started the servers and set the environment before this is read."""

from concert_project.settings.base import *  # noqa: F403

ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
INSTALLED_APPS += ["dev.demo.apps.DemoConfig"]  # noqa: F405
RATE_LIMIT_ENABLED = False  # the tests of the limiter turn it on
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_AUTOREFRESH = True
DATABASES.pop("owner", None)  # noqa: F405  (tests make a database for each alias)
LOG_FORMAT = "console"  # each line at once, while the test that caused it can see it
