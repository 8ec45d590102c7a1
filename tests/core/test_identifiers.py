"""Ids that lie in the order of time and cannot be guessed."""

from datetime import UTC, datetime
from uuid import RFC_4122

import pytest

from apps.core.identifiers import new_id
from apps.outbox.models import OutboxEvent
from apps.payments.models import LedgerTransaction
from apps.reservations.models import Hold, Reservation, Ticket


class TestNewId:
    def test_is_a_uuid_of_version_7(self):
        for _ in range(100):
            found = new_id()
            assert (found.version, found.variant) == (7, RFC_4122)

    def test_begins_with_the_time(self, time_machine):
        """The example of RFC 9562, appendix A.6."""
        time_machine.move_to(datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC), tick=False)

        assert str(new_id()).startswith("017f22e2-79b0-7")

    def test_comes_after_those_of_a_millisecond_before(self, time_machine):
        ids = []
        for milliseconds in range(5):
            at = datetime(2027, 1, 1, microsecond=milliseconds * 1_000, tzinfo=UTC)
            time_machine.move_to(at, tick=False)
            ids.append(new_id())

        assert ids == sorted(ids)
        assert list(map(str, ids)) == sorted(map(str, ids))

    def test_differs_in_one_moment_by_74_random_bits(self, time_machine):
        time_machine.move_to(datetime(2027, 1, 1, tzinfo=UTC), tick=False)

        ids = [new_id().int for _ in range(500)]

        assert len(set(ids)) == 500
        varying = 0
        for number in ids:
            varying |= number ^ ids[0]
        assert varying.bit_count() == 74

    @pytest.mark.parametrize("model", [Hold, Reservation, Ticket, LedgerTransaction, OutboxEvent])
    def test_is_what_a_sale_writes(self, model):
        assert model().pk.version == 7
