"""Test when a process thinks that it works."""

import threading

import pytest

from concert_project import consuming, heartbeat
from concert_project.consuming import Consuming
from concert_project.heartbeat import WORK_SECONDS, WatchedApplication
from concert_project.wsgi import application


@pytest.fixture
def wait(monkeypatch):
    """Let time pass at once."""
    now = [0.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])

    def pass_by(seconds):
        now[0] += seconds

    return pass_by


class Hanging:
    """An application whose request takes until it is let go."""

    def __init__(self):
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, environ, start_response):
        if environ.get("hangs"):
            self.has_begun.set()
            self.may_end.wait(30)
        return [b"ok"]


class TestWeb:
    def test_is_what_the_server_runs(self):
        assert isinstance(application, WatchedApplication)

    def test_works_also_without_requests(self, wait):
        watched = WatchedApplication(Hanging())
        wait(10 * WORK_SECONDS)

        assert watched.works()

    def test_does_not_work_when_requests_never_end(self, wait):
        hanging = Hanging()
        watched = WatchedApplication(hanging)
        thread = threading.Thread(target=watched, args=({"hangs": True}, None))
        thread.start()
        assert hanging.has_begun.wait(10)

        assert watched.works()
        wait(WORK_SECONDS + 1)
        assert not watched.works()

        watched({}, None)  # another thread does its work
        assert watched.works()
        hanging.may_end.set()
        thread.join()

    def test_forgets_a_request_that_failed(self, wait):
        def fail(environ, start_response):
            raise RuntimeError

        watched = WatchedApplication(fail)
        with pytest.raises(RuntimeError):
            watched({}, None)
        wait(WORK_SECONDS + 1)

        assert watched.works()


@pytest.fixture
def app(settings):
    """Celery as a worker of the queue `probe` has it."""
    from celery import Celery

    app = Celery("probe", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.amqp.queues.select(["probe"])
    return app


def send(app):
    app.send_task("probe.nothing", queue="probe")


class TestWorker:
    @pytest.fixture(autouse=True)
    def _idle(self, monkeypatch):
        monkeypatch.setattr(consuming.state, "total_count", {})

    def test_works_when_nothing_waits(self, app, wait):
        works = Consuming(app)
        wait(10 * WORK_SECONDS)

        assert works()

    def test_does_not_work_when_tasks_wait_and_none_is_taken(self, app, wait):
        works = Consuming(app)
        send(app)

        assert works()
        wait(WORK_SECONDS + 1)
        assert not works()

        consuming.state.total_count["probe"] = 1
        assert works()

    def test_works_as_long_as_it_takes_some(self, app, wait):
        works = Consuming(app)
        send(app)
        for number in range(5):
            consuming.state.total_count["probe"] = number + 1
            wait(WORK_SECONDS - 1)
            assert works()

    def test_cannot_work_without_a_broker(self, app, wait):
        send(app)
        app.conf.broker_url = app.conf.broker_read_url = "redis://127.0.0.1:1/0"
        works = Consuming(app)
        wait(WORK_SECONDS + 1)

        assert works()
