import pytest

from dev.drill.faults import FAULTS
from dev.drill.plan import make_plan

SECONDS = 5.0


class TestMakePlan:
    def test_is_the_same_for_the_same_seed(self):
        assert make_plan(seed=1, seconds=SECONDS) == make_plan(seed=1, seconds=SECONDS)

    def test_is_another_for_another_seed(self):
        one, other = (make_plan(seed=seed, seconds=SECONDS) for seed in (1, 2))

        assert [fault.name for fault in one] != [fault.name for fault in other]
        assert {fault.seed for fault in one}.isdisjoint(fault.seed for fault in other)

    def test_has_every_fault_once(self):
        assert sorted(fault.name for fault in make_plan(seed=3, seconds=SECONDS)) == sorted(FAULTS)

    def test_gives_a_fault_the_same_times_whatever_else_is_planned(self):
        everything = make_plan(seed=4, seconds=SECONDS)

        chosen = make_plan(seed=4, names=["web-killed", "beat-killed"], seconds=SECONDS)

        assert chosen == [
            fault for fault in everything if fault.name in ("web-killed", "beat-killed")
        ]

    @pytest.mark.parametrize("seed", range(5))
    def test_fits_into_the_time_that_customers_shop(self, seed):
        for fault in make_plan(seed=seed, seconds=SECONDS):
            assert 0 < fault.begins_after < fault.begins_after + fault.lasts < fault.load_seconds
            assert fault.lasts >= FAULTS[fault.name].lasts_min
            assert FAULTS[fault.name].lasts_min or fault.load_seconds == SECONDS
            assert len(fault.blows) == FAULTS[fault.name].blows
            assert list(fault.blows) == sorted(fault.blows)
            assert all(0 <= blow < fault.lasts for blow in fault.blows)
