"""Pages share the services with the API: nothing here writes through a model, its own rules or its own SQL."""

import ast
from pathlib import Path

import pytest

from apps import storefront

WRITES = {
    "save", "create", "delete", "update", "bulk_create", "bulk_update", "get_or_create",
    "update_or_create", "raw", "execute", "select_for_update", "lock", "atomic",
}  # fmt: skip
FOLDER = Path(storefront.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))


def writes_of(source: str) -> list[str]:
    return [
        f"line {call.lineno}: {call.func.attr}"
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in WRITES
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_storefront_code_writes_nothing_itself(path: Path) -> None:
    found = writes_of(path.read_text())

    assert found == []


def test_a_write_would_be_noticed() -> None:
    assert writes_of("Hold.objects.filter(pk=1).update(status='EXPIRED')") == ["line 1: update"]


def test_storefront_has_no_model_of_its_own() -> None:
    assert not (FOLDER / "models.py").exists()
    assert not (FOLDER / "migrations").exists()
