import pytest

from dev.bench.bounds import AT_LEAST, AT_MOST, BOUNDS, Bound, missed
from dev.bench.comparison import compare
from dev.bench.figures import median_of, medians, of_neighbours


class TestFigures:
    def test_a_share_is_that_of_both_neighbours(self) -> None:
        assert of_neighbours(300, 900, 1_100) == pytest.approx(0.3)

    def test_one_odd_repeat_moves_no_median(self) -> None:
        assert median_of([0.11, 0.10, 9.0]) == 0.11

    def test_medians_are_taken_by_key(self) -> None:
        rows = [{"rate": 1, "p95": 30}, {"rate": 2, "p95": 10}, {"rate": 3, "p95": 20}]

        assert medians(rows) == {"rate": 2, "p95": 20}


class TestBounds:
    @pytest.mark.parametrize(
        ("direction", "value", "is_met"),
        [
            (AT_LEAST, 0.11, True),
            (AT_LEAST, 0.10, True),
            (AT_LEAST, 0.09, False),
            (AT_MOST, 0.09, True),
            (AT_MOST, 0.10, True),
            (AT_MOST, 0.11, False),
        ],
    )
    def test_a_bound_itself_is_good_enough(
        self, direction: str, value: float, is_met: bool
    ) -> None:
        assert Bound("figure", "what", direction, 0.10).is_met_by(value) is is_met

    def test_the_next_goal_is_asked_for_by_itself(self) -> None:
        bound = Bound("figure", "what", AT_LEAST, 0.10, 0.15)

        assert bound.is_met_by(0.12)
        assert not bound.is_met_by(0.12, by=bound.wanted)

    def test_only_what_was_measured_can_be_missed(self) -> None:
        assert missed({}) == []
        assert [bound.figure for bound in missed({"join_of_hello": 0.006})] == ["join_of_hello"]

    def test_zero_is_the_only_good_number_of_breaches(self) -> None:
        assert missed({"on_sale_breaches": 0}) == []
        assert missed({"on_sale_breaches": 1})

    def test_figures_are_named_once(self) -> None:
        names = [bound.figure for bound in BOUNDS]

        assert len(names) == len(set(names))


def result(figures: dict[str, float], *, form: str = "full") -> dict[str, object]:
    return {
        "commit": "abc",
        "form": form,
        "taken_at": "2026-11-28T10:00:00+00:00",
        "figures": figures,
    }


class TestComparison:
    def test_a_gain_is_above_one_whichever_direction_is_better(self) -> None:
        old = result({"join_of_hello": 0.01, "sale_cpu_ms": 180})
        new = result({"join_of_hello": 0.08, "sale_cpu_ms": 18})

        text = "\n".join(compare(old, new))

        assert "| join_of_hello | 0.01 | 0.08 | 8.00 |" in text
        assert "| sale_cpu_ms | 180 | 18 | 10.00 |" in text

    def test_leaves_out_what_only_one_has_measured(self) -> None:
        lines = list(
            compare(result({"a_rate": 1, "b_rate": 1}), result({"b_rate": 2, "c_rate": 2}))
        )

        assert [line for line in lines if "_rate" in line] == ["| b_rate | 1 | 2 | 2.00 |"]

    def test_does_not_call_fewer_breaches_a_gain(self) -> None:
        lines = list(compare(result({"sale_breaches": 1}), result({"sale_breaches": 0})))

        assert not [line for line in lines if "breaches" in line]

    def test_says_when_forms_differ(self) -> None:
        same = "\n".join(compare(result({}), result({})))
        other = "\n".join(compare(result({}, form="quick"), result({})))

        assert "different forms" not in same
        assert "different forms" in other
