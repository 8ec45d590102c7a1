"""Production starts only with everything it needs to be safe, and every answer says how it wants to be treated."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
from django.conf import settings
from django.test import Client

from tests.api.conftest import Caller

# Throwaway values; no server listens at these addresses.
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "concert_project.settings.production",
    "SECRET_KEY": "only-for-this-test-" + "k7" * 30,
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "QUEUE_URL": "redis://127.0.0.1:1/0",
    "CACHE_URL": "redis://127.0.0.1:1/0",
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "QUEUE_TOKEN_KEYS": "k1:" + "A" * 43,
    "WEBHOOK_SECRETS": "whsec_" + "A" * 32,
    "ALLOWED_HOSTS": "encore.example",
    "BASE_URL": "https://encore.example",
}
NEEDED = sorted(set(PRODUCTION) - {"DJANGO_SETTINGS_MODULE"})
STRICT_POLICY = ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'")


def run(environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Python in an environment that has nothing but these variables."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
class TestProduction:
    def test_passes_the_deployment_check_without_a_warning(self):
        checked = run(PRODUCTION, "manage.py", "check", "--deploy", "--fail-level", "WARNING")

        assert checked.returncode == 0, checked.stderr
        assert "no issues" in checked.stdout

    @pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
    @pytest.mark.parametrize("name", NEEDED)
    def test_does_not_start_without(self, name: str, value: str | None):
        environment = {key: known for key, known in PRODUCTION.items() if key != name}
        if value is not None:
            environment[name] = value

        started = run(environment, "-c", "import django; django.setup()")

        assert started.returncode != 0
        assert name in started.stderr.splitlines()[-1]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SECRET_KEY", "x" * 49),
            ("QUEUE_TOKEN_KEYS", "k1"),
            ("QUEUE_TOKEN_KEYS", "k1:"),
            ("QUEUE_TOKEN_KEYS", ":" + "A" * 43),
            ("QUEUE_TOKEN_KEYS", f"k1:{'A' * 43},k2:c2hvcnQ"),
        ],
    )
    def test_does_not_start_with_a_weak(self, name: str, value: str):
        started = run(PRODUCTION | {name: value}, "-c", "import django; django.setup()")

        assert started.returncode != 0
        assert name in started.stderr.splitlines()[-1]

    def test_speaks_https_only(self):
        script = """
import django, json
django.setup()
from django.conf import settings
from django.test import Client
client = Client(headers={"host": "encore.example"})
plain, safe, other = client.get("/api/v1/nothing"), client.get("/api/v1/nothing", secure=True), client.get("/livez")
print(json.dumps({
    "plain": [plain.status_code, plain.get("Location")],
    "hsts": safe["Strict-Transport-Security"],
    "livez": other.status_code,
    "elsewhere": client.get("/api/v1/nothing", headers={"host": "elsewhere.example"}).status_code,
    "debug": settings.DEBUG,
    "demo": "dev.demo.apps.DemoConfig" in settings.INSTALLED_APPS,
    "cookies": [settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY, settings.CSRF_COOKIE_SECURE],
}))
"""
        seen = run(PRODUCTION | {"LOG_LEVEL": "CRITICAL"}, "-c", script)

        assert seen.returncode == 0, seen.stderr
        assert json.loads(seen.stdout) == {
            "plain": [301, "https://encore.example/api/v1/nothing"],
            "hsts": "max-age=31536000",
            "livez": 200,
            "elsewhere": 400,
            "debug": False,
            "demo": False,
            "cookies": [True, True, True],
        }

    @pytest.mark.parametrize(
        ("name", "directive"),
        [
            ("SECURE_HSTS_INCLUDE_SUBDOMAINS", "includeSubDomains"),
            ("SECURE_HSTS_PRELOAD", "preload"),
        ],
    )
    def test_binds_other_services_of_the_domain_if_told_to(self, name: str, directive: str):
        script = """
import django
django.setup()
from django.test import Client
client = Client(headers={"host": "encore.example"})
print(client.get("/api/v1/nothing", secure=True)["Strict-Transport-Security"])
"""
        seen = run(PRODUCTION | {name: "1", "LOG_LEVEL": "CRITICAL"}, "-c", script)

        assert seen.stdout.strip() == f"max-age=31536000; {directive}", seen.stderr

    @pytest.mark.parametrize("entry", ["concert_project.wsgi", "concert_project.celery"])
    def test_is_what_a_server_starts_with_that_is_told_nothing(self, entry: str):
        told = {name: PRODUCTION[name] for name in NEEDED}
        script = f"import {entry}; from django.conf import settings; print(settings.SETTINGS_MODULE, settings.DEBUG)"

        started = run(told, "-c", script)
        refused = run({}, "-c", script)

        assert started.stdout.split() == ["concert_project.settings.production", "False"]
        assert refused.returncode != 0
        assert "SECRET_KEY" in refused.stderr.splitlines()[-1]


@pytest.mark.django_db
class TestHeaders:
    @pytest.mark.parametrize("path", ["/api/v1/concerts", "/api/v1/nothing", "/livez", "/nothing"])
    def test_of_every_answer_keep_browsers_strict(self, client: Client, path: str):
        response = client.get(path)

        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["X-Frame-Options"] == "DENY"
        assert response["Referrer-Policy"] == "same-origin"
        assert response["Cross-Origin-Opener-Policy"] == "same-origin"
        for directive in STRICT_POLICY:
            assert directive in response["Content-Security-Policy"]

    @pytest.mark.parametrize("path", ["/api/v1/concerts", "/api/v1/nothing"])
    def test_of_the_api_set_no_cookie_and_open_it_to_no_other_site(self, client: Client, path: str):
        response = client.get(path, headers={"Origin": "https://elsewhere.example"})

        assert not response.cookies
        assert "Access-Control-Allow-Origin" not in response

    def test_of_a_login_forbid_keeping_it(self, world):
        paths = ["/accounts/me", "/balance", "/queue/tokens/me", f"/holds/{world.hold.pk}"]

        for path in paths:
            assert "no-store" in world.owner(f"GET {path}")["Cache-Control"], path


@pytest.mark.django_db
class TestMethods:
    @pytest.mark.parametrize("path", ["/concerts", "/accounts/login", "/nothing"])
    def test_options_are_not_told(self, path: str):
        response = Caller({})(f"OPTIONS {path}")

        assert response.status_code == (404 if path == "/nothing" else 405)
        assert "OPTIONS" not in response.get("Allow", "")

    @pytest.mark.parametrize("path", ["/concerts", "/concerts/popular", "/nothing"])
    def test_head_is_get_without_the_body(self, path: str):
        head, got = (Caller({})(f"{method} {path}") for method in ("HEAD", "GET"))

        assert head.status_code == got.status_code
        assert head.content == b""
        assert head["Content-Type"] == got["Content-Type"]

    def test_a_method_cannot_be_smuggled_in(self, world):
        """Turn a GET into nothing else, by header or parameter."""
        overridden = world.owner(
            f"GET /holds/{world.hold.pk}?_method=DELETE",
            headers={"X-HTTP-Method-Override": "DELETE"},
        )

        assert overridden.status_code == 200
        world.hold.refresh_from_db()
        assert world.hold.status == "HELD"


@pytest.mark.django_db
class TestTokens:
    def test_are_never_taken_from_the_address(self, world):
        token = world.owner.headers["Authorization"].removeprefix("Bearer ")
        place = world.owner.headers["Queue-Token"]

        login = Caller({})(f"GET /accounts/me?access_token={token}&Authorization=Bearer%20{token}")
        queue = Caller({})(f"GET /queue/tokens/me?Queue-Token={place}&token={place}")

        assert login.status_code == 401
        assert queue.status_code == 403

    def test_do_not_appear_in_the_log(self, world, capfd, caplog):
        token = world.owner.headers["Authorization"].removeprefix("Bearer ")
        place = world.owner.headers["Queue-Token"]

        with caplog.at_level("DEBUG"):
            for path in ("/accounts/me", "/queue/tokens/me", "/nothing"):
                world.owner(f"GET {path}")

        logged = caplog.text + "".join(capfd.readouterr())
        assert "request_finished" in logged
        assert token not in logged
        assert place not in logged
