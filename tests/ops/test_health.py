"""Test what an orchestrator and a monitoring system are told."""

import pytest
from django.db import connection
from django.test import Client

STORES = {"queue_store": "QUEUE_URL", "broker": "BROKER_URL", "cache": "CACHE_URL"}
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def without_database(monkeypatch):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")


class TestLivez:
    def test_asks_no_other_server(self, client: Client, settings):
        for setting in STORES.values():
            setattr(settings, setting, NOWHERE)

        response = client.get("/livez")

        assert response.status_code == 200
        assert response.json() == {"status": "ok"}


class TestReadyz:
    @pytest.mark.django_db
    def test_names_everything_that_answers(self, client):
        response = client.get("/readyz")

        assert response.status_code == 200
        assert response.json() == {
            "status": "ok",
            "database": "ok",
            **dict.fromkeys(STORES, "ok"),
        }
        assert "no-store" in response["Cache-Control"]

    @pytest.mark.django_db
    @pytest.mark.parametrize(("name", "setting"), STORES.items())
    def test_names_a_dead_store_and_stays_ready(self, client, settings, name, setting):
        setattr(settings, setting, NOWHERE)

        response = client.get("/readyz")

        assert response.status_code == 200
        assert response.json()["status"] == "ok"
        assert {key for key, value in response.json().items() if value != "ok"} == {name}

    @pytest.mark.django_db
    def test_names_a_frozen_store_too(self, client, settings, valkey_server):
        server = valkey_server()
        settings.QUEUE_URL = server.url
        server.pause()

        response = client.get("/readyz")

        assert response.status_code == 200
        assert response.json()["queue_store"] == "unavailable"

    @pytest.mark.django_db(transaction=True)
    def test_is_not_ready_without_the_database(self, client, without_database):
        response = client.get("/readyz")

        assert response.status_code == 503
        assert response.json() == {
            "status": "unavailable",
            "database": "unavailable",
            **dict.fromkeys(STORES, "ok"),
        }


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_only_reading_is_possible(client, path):
    assert client.post(path).status_code == 405
