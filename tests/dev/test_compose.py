"""There is no Docker engine in development, so what the deployment names is looked up instead."""

import importlib
import re
from pathlib import Path

import pytest
import yaml
from celery.bin.celery import celery as celery_command
from django.conf import settings
from django.core.management import get_commands

from apps.outbox.events import CONSUMERS
from dev.stack.environment import read_env_file

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "encore"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Read by docker-compose.yml itself.
FOR_COMPOSE = {"POSTGRES_PASSWORD", "APP_POSTGRES_PASSWORD", "QUEUE_MEMORY"}


def variables_of_settings():
    """Return the names of all environment variables that the settings read."""
    files = (ROOT / "concert_project" / "settings").glob("*.py")
    return {
        name
        for file in files
        for name in re.findall(r"env(?:\.\w+)?\(\s*[\"']([A-Z_]+)[\"']", file.read_text())
    }


def queues_of(command):
    return set(command[command.index("--queues") + 1].split(","))


class TestServices:
    @pytest.mark.parametrize("name", OURS)
    def test_run_commands_that_exist(self, name):
        command = without_watchdog(SERVICES[name].get("command") or web_command())

        match command:
            case ["python", "manage.py", subcommand, *_]:
                assert subcommand in get_commands()
            case ["celery", "-A", project, subcommand, *options]:
                assert importlib.import_module(f"{project}.celery").app
                known = celery_command.commands[subcommand].params
                known_options = {option for parameter in known for option in parameter.opts}
                assert {option for option in options if option[:2] == "--"} <= known_options
            case ["granian", *options]:
                module, _, attribute = options[-1].partition(":")
                assert callable(getattr(importlib.import_module(module), attribute))
            case _:
                pytest.fail(f"{name} runs an unknown command: {command}")

    def test_consume_every_queue_once(self):
        routes = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
        scheduled = {entry["options"]["queue"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
        drained = {consumer.queue for consumer in CONSUMERS.values()}
        wanted = {settings.CELERY_TASK_DEFAULT_QUEUE, *routes, *scheduled, *drained}

        worker, sync = (queues_of(SERVICES[name]["command"]) for name in ("worker", "sync"))

        assert worker | sync == wanted
        assert not worker & sync

    def test_wait_for_services_that_exist_and_can_say_that_they_are_well(self):
        for service in SERVICES.values():
            for dependency, wanted in service.get("depends_on", {}).items():
                if wanted["condition"] == "service_healthy":
                    assert "healthcheck" in SERVICES[dependency]
                else:
                    assert SERVICES[dependency]["restart"] == "no"

    def test_have_health_checks_except_the_one_that_ends(self):
        assert "HEALTHCHECK" in DOCKERFILE  # of web, which has no other
        for name in SERVICES.keys() - {"web", "migrate"}:
            assert SERVICES[name]["healthcheck"]["test"]

    def test_keep_the_queue_and_may_lose_the_cache(self):
        queue, cache = (SERVICES[name]["command"] for name in ("valkey-queue", "valkey-cache"))

        assert queue[queue.index("--maxmemory-policy") + 1] == "noeviction"
        assert queue[queue.index("--maxmemory") + 1] == "${QUEUE_MEMORY:-1gb}"
        assert queue[queue.index("--appendonly") + 1] == "yes"
        assert cache[cache.index("--maxmemory-policy") + 1] == "allkeys-lru"
        for name in ("QUEUE_URL", "BROKER_URL"):
            assert "@" not in SERVICES["web"]["environment"][name]
            assert "valkey-queue" in SERVICES["web"]["environment"][name]

    def test_name_their_volumes(self):
        mounted = {
            volume.split(":")[0]
            for service in SERVICES.values()
            for volume in service.get("volumes", [])
        }

        assert mounted == COMPOSE["volumes"].keys()

    @pytest.mark.parametrize("name", OURS)
    def test_are_watched_unless_they_end_by_themselves(self, name):
        command = SERVICES[name].get("command") or web_command()

        is_watched = without_watchdog(command) != command

        assert SERVICES[name]["restart"] == ("unless-stopped" if is_watched else "no")
        assert is_watched or name == "migrate"


class TestEnvironment:
    @pytest.mark.parametrize("name", OURS)
    def test_of_services_is_read_by_the_settings(self, name):
        assert SERVICES[name]["environment"].keys() <= variables_of_settings()

    @pytest.mark.parametrize("name", OURS)
    def test_names_the_owner_of_the_tables_to_migrations_alone(self, name):
        assert ("OWNER_DATABASE_URL" in SERVICES[name]["environment"]) == (name == "migrate")

    def test_of_the_example_is_read_by_the_settings(self):
        text = (ROOT / ".env.example").read_text()
        names = set(re.findall(r"^(?:# )?([A-Z_]+)=", text, re.MULTILINE))

        assert names - FOR_COMPOSE <= variables_of_settings()

    def test_gives_every_secret_a_place_but_no_value(self):
        example = read_env_file(ROOT / ".env.example")
        text = (ROOT / ".env.example").read_text()

        for name in ("SECRET_KEY", "QUEUE_TOKEN_KEYS", "WEBHOOK_SECRETS", "POSTGRES_PASSWORD"):
            assert name not in example
            assert f"\n{name}=\n" in text

    def test_of_the_image_is_read_by_the_settings(self):
        build_step = DOCKERFILE.split("RUN ALLOWED_HOSTS")[1].split("python manage.py")[0]
        names = set(re.findall(r"\b([A-Z_]{4,})=", build_step))

        assert names <= variables_of_settings()


class TestImage:
    def test_runs_without_rights(self):
        assert re.search(r"^USER encore$", DOCKERFILE, re.MULTILINE)

    def test_contains_what_the_processes_need_and_no_more(self):
        allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)

        assert all((ROOT / path).exists() for path in allowed)
        assert {"apps", "concert_project", "manage.py", "requirements/production.txt"} <= set(
            allowed
        )
        assert not {"dev", "tests", ".env", ".git"} & set(allowed)


def without_watchdog(command):
    prefix = ["python", "-P", "concert_project/watchdog.py", "--"]
    return command[len(prefix) :] if command[: len(prefix)] == prefix else command


def web_command():
    command = re.search(r"^CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    assert command is not None
    return yaml.safe_load(command[1])
