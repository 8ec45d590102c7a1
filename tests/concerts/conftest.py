import pytest

from apps.concerts.selectors import popular_answers, sold_out_answers


@pytest.fixture(autouse=True)
def _forget_answers():
    """No test gets the answer that an earlier one left in the memory of the process."""
    popular_answers.clear()
    sold_out_answers.clear()
