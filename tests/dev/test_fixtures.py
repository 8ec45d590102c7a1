"""The fixtures that other tests rely on."""

import threading

import pytest
import redis


class TestRace:
    def test_returns_results_and_exceptions_in_order(self, race):
        refusal = ValueError("no")

        def refuse():
            raise refusal

        outcomes = race([lambda: 1, refuse, lambda: 3])

        assert outcomes == [1, refusal, 3]

    def test_runs_all_at_the_same_time(self, race):
        all_of_them = threading.Barrier(5)

        outcomes = race([lambda: all_of_them.wait(10)] * 5)

        assert sorted(outcomes) == [0, 1, 2, 3, 4]

    @pytest.mark.django_db
    def test_refuses_a_test_whose_data_other_threads_cannot_see(self, race):
        with pytest.raises(RuntimeError, match="transaction=True"):
            race([lambda: 1])


class TestStore:
    @pytest.mark.parametrize("run", ["first", "second"])
    def test_is_empty_at_the_start_of_every_test(self, store, run):
        assert store.dbsize() == 0

        store.set("left behind by", run)


class TestValkeyServer:
    def test_keeps_its_data_through_a_crash_when_asked_to(self, valkey_server):
        server = valkey_server(append_only=True, options={"appendfsync": "always"})
        with redis.Redis.from_url(server.url) as client:
            client.set("place", "1")

            server.kill()
            server.start()

            assert client.get("place") == b"1"

    def test_loses_its_data_otherwise(self, valkey_server):
        server = valkey_server()
        with redis.Redis.from_url(server.url) as client:
            client.set("place", "1")

            server.restart()

            assert client.get("place") is None

    def test_does_not_answer_while_it_is_paused(self, valkey_server):
        server = valkey_server()
        with redis.Redis.from_url(server.url, socket_timeout=0.2, retry=None) as client:
            server.pause()
            with pytest.raises(redis.TimeoutError):
                client.ping()

            server.resume()

            assert client.ping()
