"""`journey`, against a real server and the real services behind it."""

import threading

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from apps.accounts.models import User
from apps.concerts.services import rebuild_ranking
from apps.payments.selectors import wallet_balance
from apps.queue.models import QueueExit
from apps.queue.services import admit_visitors
from apps.reservations.models import Reservation
from concert_project.celery import app
from dev.demo.journey import TOP_UP, Journey, JourneyFailed
from tests.factories.concerts import ConcertFactory, PerformanceFactory, keep_back

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

STEPS = (
    "Register",
    "Log in",
    "Top up",
    "Find a concert",
    "Join the queue",
    "Wait for the turn",
    "Look at the dates",
    "Look at the seats",
    "Hold a seat",
    "Ask for more time",
    "Pay",
    "Show the ticket",
    "See it in the ranking",
    "Cancel",
)


@pytest.fixture
def beat():
    """Admits visitors, as beat does."""
    is_over = threading.Event()

    def tick():
        while not is_over.wait(0.05):
            admit_visitors()
        connections.close_all()

    thread = threading.Thread(target=tick)
    thread.start()
    yield
    is_over.set()
    thread.join(30)


@pytest.fixture
def worker():
    """Tasks run as soon as they are sent."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def travel(live_server, capsys, monkeypatch):
    """Runs the command against the live server and returns what it printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(**options):
        call_command("journey", base_url=live_server.url, **options)
        return capsys.readouterr().out

    return run


def refused_journey(answer, match):
    """Return the steps of a journey whose server is `answer`, until it fails."""
    steps = []
    transport = httpx.MockTransport(answer)
    with httpx.Client(base_url="http://encore.example", transport=transport) as client:
        journey = Journey(client=client, on_step=steps.append, patience=5)
        with pytest.raises(JourneyFailed, match=match):
            journey.run()
    return steps


@pytest.mark.usefixtures("beat", "worker")
class TestJourney:
    def test_goes_from_registration_to_a_ticket_and_back(self, travel):
        performance = PerformanceFactory(seats=3)
        rebuild_ranking()

        printed = travel()

        positions = [printed.index(step) for step in STEPS]
        assert positions == sorted(positions)
        assert "0 → 1 reservations" in printed
        reservation = Reservation.objects.get()
        assert reservation.status == Reservation.Status.CANCELLED
        assert reservation.performance == performance
        assert wallet_balance(customer_id=reservation.customer_id) == TOP_UP
        assert QueueExit.objects.get().reason == "COMPLETED"

    def test_keeps_the_ticket_if_asked_to(self, travel):
        PerformanceFactory(seats=1)

        printed = travel(keep=True)

        assert "Cancel" not in printed
        reservation = Reservation.objects.get()
        assert reservation.status == Reservation.Status.CONFIRMED
        assert wallet_balance(customer_id=reservation.customer_id) == TOP_UP - 50_000

    def test_goes_to_the_concert_that_is_named(self, travel):
        PerformanceFactory(seats=1)
        wanted = PerformanceFactory(seats=1).concert

        printed = travel(concert=wanted.pk)

        assert wanted.title in printed
        assert Reservation.objects.get().performance.concert == wanted

    def test_looks_further_when_a_concert_is_sold_out(self, travel):
        keep_back(*PerformanceFactory(seats=1).seats.all())
        free = PerformanceFactory(seats=1)

        printed = travel()

        assert "Leave the queue" in printed
        assert Reservation.objects.get().performance == free

    def test_tops_up_what_is_missing(self, travel):
        PerformanceFactory(seats=1, seats__price=1_600_000)

        printed = travel(keep=True)

        assert printed.count("Top up again") == 2
        assert wallet_balance(customer_id=Reservation.objects.get().customer_id) == 0

    def test_fails_when_no_seat_is_left(self, travel):
        keep_back(*PerformanceFactory(seats=1).seats.all())

        with pytest.raises(CommandError, match="no seat is left"):
            travel()

        assert not Reservation.objects.exists()


class TestJourneyFails:
    def test_at_a_concert_that_does_not_exist(self, travel, capsys):
        with pytest.raises(CommandError, match=r"There is no such concert\. \(HTTP 404"):
            travel(concert=4711)

        assert "CONCERT_NOT_FOUND" in capsys.readouterr().out

    def test_when_nothing_is_on_sale(self, travel):
        PerformanceFactory(concert=ConcertFactory(upcoming=True), seats=1)

        with pytest.raises(CommandError, match="none is on sale"):
            travel()

    def test_when_no_turn_comes(self, travel):
        PerformanceFactory(seats=1)

        with pytest.raises(CommandError, match=r"still at position .*Does beat run"):
            travel(patience=0.1)

    @pytest.mark.usefixtures("beat")
    def test_when_the_ranking_does_not_follow(self, live_server):
        PerformanceFactory(seats=1)
        steps = []

        with (
            httpx.Client(base_url=live_server.url) as client,
            pytest.raises(JourneyFailed, match=r"still 0 reservations\. Does the worker run"),
        ):
            Journey(client=client, on_step=steps.append, ranking_patience=0.1).run()

        assert (steps[-1].title, steps[-1].succeeded) == ("See it in the ranking", False)
        assert Reservation.objects.get().status == Reservation.Status.CONFIRMED

    def test_when_nothing_answers(self):
        with pytest.raises(CommandError, match="Is the stack running"):
            call_command("journey", base_url="http://127.0.0.1:1")

        assert not User.objects.exists()

    def test_when_something_else_answers(self, live_server):
        with pytest.raises(CommandError, match="no answer of Encore"):
            call_command("journey", base_url=f"{live_server.url}/elsewhere")

    @pytest.mark.parametrize(
        "address", ["localhost:8000", "ftp://localhost", "http://", "http://[::1", ""]
    )
    def test_without_an_address(self, address):
        with pytest.raises(CommandError, match="is no address"):
            call_command("journey", f"--base-url={address}")


class TestPatience:
    def test_waits_when_the_server_asks_for_it(self):
        answers = iter([429, 503, 201])

        def answer(request):
            status = next(answers, 409)
            code = "SUCCESS" if status == 201 else "REFUSED"
            envelope = {"code": code, "message": "", "data": {"email": "a@demo.example"}}
            return httpx.Response(status, json=envelope, headers={"Retry-After": "0"})

        steps = refused_journey(answer, "HTTP 409")

        assert [(step.title, step.status) for step in steps] == [("Register", 201), ("Log in", 409)]

    def test_does_not_wait_longer_than_its_patience(self):
        def answer(request):
            envelope = {"code": "RATE_LIMITED", "message": "Slow down.", "data": {}}
            return httpx.Response(429, json=envelope, headers={"Retry-After": "6"})

        steps = refused_journey(answer, "Slow down")

        assert [(step.title, step.succeeded) for step in steps] == [("Register", False)]
