import json
import threading
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from dev.stack import receiver
from dev.stack.environment import new_secrets
from dev.stack.receiver import KEPT_MESSAGES, Receiver

CURRENT, PREVIOUS, FOREIGN = (new_secrets()["WEBHOOK_SECRETS"] for _ in range(3))
BODY = '{"type": "reservation.confirmed", "data": {"title": "<b>가을 밤</b>"}}'


@pytest.fixture
def client():
    """A client of a receiver that accepts two secrets."""
    server = Receiver(host="127.0.0.1", port=0, webhook_secrets=[CURRENT, PREVIOUS])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


def signed(secret=CURRENT):
    """Return the headers of a message."""
    now = datetime.now(UTC)
    return {
        "webhook-id": "event-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("event-1", now, BODY),
    }


def post(client, *, secret=CURRENT, timeout=5.0, **changed):
    return client.post("/", content=BODY, headers={**signed(secret), **changed}, timeout=timeout)


class TestReceiver:
    @pytest.mark.parametrize("secret", [CURRENT, PREVIOUS], ids=["current", "previous"])
    def test_takes_a_signed_message_and_shows_it(self, client, secret):
        assert post(client, secret=secret).status_code == 204

        shown = client.get("/").json()
        assert shown["count"] == 1
        assert shown["messages"][0]["id"] == "event-1"
        assert shown["messages"][0]["signature"] == "valid"
        assert shown["messages"][0]["body"] == json.loads(BODY)

    @pytest.mark.parametrize(
        "changed",
        [
            {"secret": FOREIGN},
            {"webhook-id": "event-2"},
            {"webhook-timestamp": "1000000000"},
            {"webhook-signature": "v1"},
            {"webhook-signature": "v1,not base64"},
            {"webhook-signature": ""},
        ],
        ids=["secret", "id", "age", "incomplete", "no base64", "empty"],
    )
    def test_refuses_a_message_that_is_not_signed_properly(self, client, changed):
        assert post(client, **changed).status_code == 400

        assert client.get("/").json()["messages"][0]["signature"] == "invalid"

    def test_shows_a_page_to_people_with_the_content_escaped(self, client):
        post(client)

        page = client.get("/", headers={"Accept": "text/html,*/*"}).text

        assert "&lt;b&gt;가을 밤&lt;/b&gt;" in page
        assert "<b>" not in page

    def test_writes_a_line_for_each_message_however_many_arrive_at_once(self, client, race, capfd):
        race([lambda: [post(client) for _ in range(10)]] * 8)

        lines = capfd.readouterr().out.splitlines()
        assert len(lines) == 80
        assert {json.loads(line)["id"] for line in lines} == {"event-1"}

    def test_forgets_old_messages(self, client):
        for _ in range(KEPT_MESSAGES + 1):
            post(client)

        shown = client.get("/").json()

        assert shown["count"] == KEPT_MESSAGES + 1
        assert len(shown["messages"]) == KEPT_MESSAGES

    @pytest.mark.parametrize(
        ("behaviour", "status", "header", "seconds"),
        [
            ({"status": 503}, 503, None, 0),
            ({"status": 429, "retry_after": 7}, 429, "7", 0),
            ({"delay_seconds": 0.3}, 204, None, 0.3),
        ],
    )
    def test_behaves_as_it_is_told(self, client, behaviour, status, header, seconds):
        client.put("/behaviour", json=behaviour)

        answer = post(client)

        assert (answer.status_code, answer.headers.get("Retry-After")) == (status, header)
        assert answer.elapsed.total_seconds() >= seconds
        client.put("/behaviour", json={})
        assert post(client).status_code == 204

    def test_drips_until_it_is_told_otherwise(self, client, monkeypatch):
        monkeypatch.setattr(receiver, "DRIP_SECONDS", 0.01)
        client.put("/behaviour", json={"mode": "drip", "status": 200})

        with client.stream("POST", "/", content=BODY, headers=signed()) as answer:
            assert answer.status_code == 200
            parts = answer.iter_bytes(1)
            assert [next(parts) for _ in range(3)] == [b"."] * 3

            with httpx.Client(base_url=client.base_url) as other:
                other.put("/behaviour", json={})
            with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
                list(parts)

        assert client.get("/").json()["messages"][0]["answer"] == 200

    @pytest.mark.parametrize("mode", ["drop", "nonsense"])
    def test_takes_a_message_without_a_proper_answer_when_it_is_told_to(self, client, mode):
        client.put("/behaviour", json={"mode": mode})

        with pytest.raises(httpx.RemoteProtocolError):
            post(client)

        [message] = client.get("/").json()["messages"]
        assert (message["signature"], message["answer"]) == ("valid", mode)

    def test_hangs_until_it_is_told_otherwise(self, client):
        client.put("/behaviour", json={"mode": "hang"})

        with pytest.raises(httpx.ReadTimeout):
            post(client, timeout=0.3)
        client.put("/behaviour", json={})

        assert post(client).status_code == 204
        assert [message["answer"] for message in client.get("/").json()["messages"]] == [
            204,
            "hang",
        ]

    def test_refuses_a_wrong_signature_whatever_it_is_told(self, client):
        client.put("/behaviour", json={"mode": "drop"})

        assert post(client, secret=FOREIGN).status_code == 400

    @pytest.mark.parametrize(
        "wanted",
        [
            '{"status": 99}',
            '{"delay_seconds": "x"}',
            '{"mode": "sulk"}',
            '{"retry_after": []}',
            "[]",
            "{",
        ],
    )
    def test_refuses_a_behaviour_it_does_not_know(self, client, wanted):
        assert client.put("/behaviour", content=wanted).status_code == 400
        assert post(client).status_code == 204
