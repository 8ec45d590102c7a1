"""Compare what README and `docs/` say of the code with the code."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands
from django.db import models
from django.utils import translation

from apps.core.codes import CODES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
ERRORS = ("<!-- errors: compared with apps/core/codes.py -->", "<!-- end of errors -->")
SETTINGS = ("<!-- settings: compared with concert_project/settings -->", "<!-- end of settings -->")

every_page = pytest.mark.parametrize("page", PAGES, ids=IDS)


def between(page: Path, markers: tuple[str, str]) -> str:
    _, found, rest = page.read_text().partition(markers[0])
    part, also_found, _ = rest.partition(markers[1])
    assert found, f"{page.name} has no {markers[0]}"
    assert also_found, f"{page.name} has no {markers[1]}"
    return part.strip()


def prose(page: Path) -> str:
    """Return the page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the fragments that a renderer gives to the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in headings
    }


class TestEveryPage:
    @every_page
    def test_links_lead_somewhere(self, page: Path) -> None:
        broken = []
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, fragment = target.partition("#")
            linked = (page.parent / path).resolve() if path else page
            is_page = linked.suffix == ".md" and linked.exists()
            if not linked.exists() or (fragment and is_page and fragment not in anchors(linked)):
                broken.append(target)

        assert broken == []

    @every_page
    def test_names_files_that_exist(self, page: Path) -> None:
        named = re.findall(
            r"`((?:apps|concert_project|dev|docs|templates|requirements|tests)/[\w./-]+)",
            page.read_text(),
        )

        assert [path for path in named if not (ROOT / path).exists()] == []

    @every_page
    def test_names_tests_that_exist(self, page: Path) -> None:
        named = re.findall(r"(tests/[\w/]+\.py)((?:::\w+)*)", page.read_text())

        assert [path + name for path, name in named if not has_test(path, name)] == []

    @every_page
    def test_names_commands_that_exist(self, page: Path) -> None:
        named = set(re.findall(r"manage\.py ([a-z_]+)", page.read_text()))
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

        assert named - get_commands().keys() == set()
        assert set(re.findall(r"`make ([a-z-]+)", page.read_text())) - targets == set()


def has_test(path: str, name: str) -> bool:
    if not (ROOT / path).exists():
        return False
    body: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
    for part in name.split("::")[1:]:
        found = [
            node
            for node in body
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == part
        ]
        if not found:
            return False
        body = found[0].body
    return True


class TestErrors:
    def test_are_those_of_the_registry(self) -> None:
        with translation.override("en"):
            rows = [
                f"| {entry.status} | `{entry.code}` | {entry.message} | {'yes' if entry.retryable else ''} |"
                for entry in sorted(CODES.values(), key=lambda entry: entry.status)
            ]
        table = "\n".join(["| status | code | message | retryable |", "|--:|---|---|---|", *rows])

        assert between(ROOT / "docs" / "api.md", ERRORS) == table


class TestSettings:
    def test_are_those_that_the_code_reads(self) -> None:
        table = between(ROOT / "docs" / "operations.md", SETTINGS)
        documented = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)

        assert len(documented) == len(set(documented))
        assert set(documented) == set(settings_read())


def settings_read() -> Iterator[str]:
    """Yield the names that the settings take from the environment: `env.str("NAME", ...)` and `os.environ`."""
    for path in (ROOT / "concert_project" / "settings").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            reader = node.func.value
            is_read = isinstance(reader, ast.Name) and reader.id == "env"
            is_read |= isinstance(reader, ast.Attribute) and reader.attr == "environ"
            if is_read and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


class TestDomain:
    """The entity-relationship diagram of `docs/domain.md`."""

    diagram = re.search(
        r"erDiagram\n(.*?)```", (ROOT / "docs" / "domain.md").read_text(), re.DOTALL
    )

    def test_shows_every_relation(self) -> None:
        assert self.diagram
        drawn = re.findall(r"^ +(\w+) \S+--\S+ (\w+) :", self.diagram[1], flags=re.MULTILINE)

        assert sorted(drawn) == sorted(relations())

    def test_shows_columns_that_exist(self) -> None:
        assert self.diagram
        by_name = {model.__name__: model for model in own_models()}
        for name, columns in re.findall(r"^ +(\w+) \{(.*?)\}", self.diagram[1], re.M | re.S):
            known = {field.attname for field in by_name[name]._meta.concrete_fields}
            shown = set(re.findall(r"^ +\w+ (\w+)", columns, flags=re.MULTILINE))

            assert shown - known == set(), name


def own_models() -> Iterator[type[models.Model]]:
    for model in apps.get_models():
        if model.__module__.startswith("apps."):
            yield model


def relations() -> Iterator[tuple[str, str]]:
    """Yield pairs of the model referred to and the model that refers to it."""
    own = set(own_models())
    for model in own:
        for field in model._meta.concrete_fields:
            if field.related_model in own:
                names = field.related_model.__name__, model.__name__
                # A second reference to the same model is the same arrow to a reader.
                if not (names == ("User", "LedgerTransaction") and field.name == "adjusted_by"):
                    yield names


class TestGlossary:
    names = re.findall(
        r"`([\w.]+)`",
        "\n".join(
            row.split("|")[2]
            for row in (ROOT / "docs" / "glossary.md").read_text().splitlines()
            if row.startswith("| ")
        ),
    )

    def test_has_every_public_class_of_the_waiting_room_and_the_outbox(self) -> None:
        classes = set(public_classes())

        assert {"TokenClaims", "VisitRef", "WaitingRoom", "Consumer", "Drained"} <= classes
        assert classes - set(self.names) == set()

    def test_names_what_is_in_the_code(self) -> None:
        code = [path for path in (ROOT / "apps").rglob("*") if path.suffix in {".py", ".lua"}]
        words = set(re.findall(r"\w+", "\n".join(path.read_text() for path in code)))

        assert [name for name in self.names if not words.issuperset(name.split("."))] == []


def public_classes() -> Iterator[str]:
    """Yield the names of the classes that are defined in core, models, selectors and services of `queue`, and in `outbox`."""
    wanted = re.compile(
        r"apps\.(queue\.(core|models|selectors|services)|outbox\.(?!apps|management|migrations))"
    )
    for app in ("queue", "outbox"):
        folder = str(ROOT / "apps" / app)
        for module in pkgutil.walk_packages([folder], prefix=f"apps.{app}."):
            if not wanted.match(module.name):
                continue
            for name, found in inspect.getmembers(
                importlib.import_module(module.name), inspect.isclass
            ):
                is_own = found.__module__ == module.name and not name.startswith("_")
                if is_own and not issubclass(found, models.QuerySet):
                    yield name


class TestConstraints:
    def test_of_the_locking_policy_exist(self) -> None:
        page = (ROOT / "docs" / "locking.md").read_text()
        section = page.partition("## Constraints behind the locks")[2].partition("\n## ")[0]
        cells = [line.split("|")[2] for line in section.splitlines() if line.startswith("| ")][2:]
        named = set(re.findall(r"`(\w+)`", " ".join(cells)))
        known = {"hold", "event_id"}  # columns that are unique themselves
        for model in own_models():
            known |= {constraint.name for constraint in model._meta.constraints}
            known |= {trigger.name for trigger in getattr(model._meta, "triggers", [])}

        assert named
        assert named - known == set()
