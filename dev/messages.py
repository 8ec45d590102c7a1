"""Collect the texts of the project for translators and compile what they wrote.

    python -m dev.messages           update the .po files, write the .mo files
    python -m dev.messages --check   only say what is out of date or untranslated

Django's own commands need GNU gettext, which not every machine has; Babel is a wheel.
"""

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import django
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation import template as django_template

from dev.tool import parser_of

ROOT = Path(__file__).resolve().parent.parent
NEVER = datetime(2026, 1, 1, tzinfo=UTC)
LANGUAGES = ("ko",)
CODE_FOLDERS = ("apps", "concert_project")
TEMPLATE_FOLDERS = ("templates",)
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    **{
        f"{name}_lazy": DEFAULT_KEYWORDS[name]
        for name in ("gettext", "ngettext", "pgettext", "npgettext")
    },
    "gettext_noop": None,
}


def collect() -> Catalog:
    """Return every text of the code and the templates, with the files it is in."""
    catalog = Catalog(project="Encore", fuzzy=False)
    for path, source in sources():
        for _line, message, comments, context in extract(
            "python", io.BytesIO(source.encode()), KEYWORDS, ("Translators:",)
        ):
            name = path.relative_to(ROOT).as_posix()
            catalog.add(message, locations=[(name, 0)], auto_comments=comments, context=context)
    return catalog


def sources() -> Iterator[tuple[Path, str]]:
    for folder in CODE_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, path.read_text()
    for folder in TEMPLATE_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.html")):
            templatized = django_template.templatize(path.read_text(), origin=str(path))
            # To Python, how deep HTML is indented means something.
            yield path, "\n".join(line.strip() for line in templatized.splitlines())


def updated(po_path: Path, language: str, texts: Catalog) -> Catalog:
    """Return the translations in `po_path` with today's texts; new ones are empty."""
    known = read_po(io.BytesIO(po_path.read_bytes()), language) if po_path.exists() else Catalog()
    catalog = Catalog(
        locale=language,
        header_comment="# Translations of Encore. `make messages` collects the texts.",
        project="Encore",
        version="1",
        msgid_bugs_address="none",
        last_translator="Encore contributors",
        language_team=language,
        # Of the moment, they would change the file without a change of its texts.
        creation_date=NEVER,
        revision_date=NEVER,
        fuzzy=False,
    )
    for message in texts:
        if message.id:
            translated = known.get(message.id, message.context)
            if translated is not None and is_translated(translated):
                message.string = translated.string
            catalog[message.id] = message
    return catalog


def is_translated(message: Message) -> bool:
    forms = message.string if isinstance(message.string, tuple | list) else [message.string]
    return bool(forms) and all(forms)


def as_po(catalog: Catalog) -> bytes:
    content = io.BytesIO()
    write_po(content, catalog, sort_by_file=True, include_lineno=False)
    return content.getvalue()


def as_mo(catalog: Catalog) -> bytes:
    content = io.BytesIO()
    write_mo(content, catalog)
    return content.getvalue()


def main(*, check: bool) -> int:
    settings.configure()
    django.setup()
    texts = collect()
    problems: list[str] = []
    for language in LANGUAGES:
        po_path = ROOT / "locale" / language / "LC_MESSAGES" / "django.po"
        catalog = updated(po_path, language, texts)
        untranslated = [
            message.id for message in catalog if message.id and not is_translated(message)
        ]
        if untranslated:
            problems.append(
                f"{language}: {len(untranslated)} texts without a translation, {untranslated[0]!r}"
            )
        for path, content in (
            (po_path, as_po(catalog)),
            (po_path.with_suffix(".mo"), as_mo(catalog)),
        ):
            if path.exists() and path.read_bytes() == content:
                continue
            if check:
                problems.append(f"{path.relative_to(ROOT)} is out of date. Run: make messages")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                print(f"Wrote {path.relative_to(ROOT)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if check and problems else 0


if __name__ == "__main__":
    parser = parser_of("dev.messages", __doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    sys.exit(main(check=parser.parse_args().check))
