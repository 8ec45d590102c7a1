"""Texts that people type: composed in one way, and showing what they are.

A text arrives composed (NFC) or decomposed (NFD, from the files of a Mac); both look alike and are not equal. Each is composed where
it enters. Characters that show nothing, or turn around what stands beside them, are refused: no reader can read, find or tell apart a
name that is made of them. Passwords are no such texts.
"""

import argparse
import unicodedata
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.expressions import Combinable
from django.utils.translation import gettext_lazy as _

_LINE_BREAKS = "\n\r\t"
_JOINERS = "\u200c\u200d"
# Letters, marks and symbols by category, but blank on every screen.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Signs before or around Arabic and Syriac numbers; a format character in category only.
_VISIBLE_FORMATS = frozenset([*map(chr, range(0x600, 0x606)), *"\u06dd\u070f\u0890\u0891\u08e2"])
# They spell the region of a flag, such as that of Scotland.
_FLAG, _TAGS = "\U0001f3f4", "".join(map(chr, range(0xE0020, 0xE0080)))
_JOINED_SCRIPTS = (
    "\u0600",
    "\u10ff",
)  # Arabic to Tibetan and Myanmar: a joiner changes their forms


def normalized(text: str) -> str:
    """Return a text in its composed form, NFC."""
    return unicodedata.normalize("NFC", text)


def refuse_hidden(text: str) -> None:
    """Refuse a text that hides something, or everything; line breaks are let through.

    :raises ValidationError: it has characters that show nothing or turn the line around, or no others than blanks.
    """
    for place, letter in enumerate(text):
        if _is_hidden(text, place):
            raise ValidationError(
                _("This text contains a hidden character (%(code)s). Please type it again."),
                code="hidden_character",
                params={"code": f"U+{ord(letter):04X}"},
            )
    if text and not any(map(_shows, text)):
        raise ValidationError(_("This text has no visible characters."), code="hidden_text")


def without_hidden(text: str) -> str:
    """Return a text that is shown again and stored nowhere, composed and without what `refuse_hidden` refuses."""
    shown = (letter for place, letter in enumerate(text) if not _is_hidden(text, place))
    return normalized("".join(shown))


def refuse_lines(text: str) -> None:
    """
    :raises ValidationError: it has more than one line.
    """
    if any(letter in _LINE_BREAKS for letter in text):
        raise ValidationError(_("Enter this on one line."), code="line_break")


def typed_line(text: str) -> str:
    """Return an argument of a command as it is stored.

    :raises argparse.ArgumentTypeError: it hides something.
    """
    try:
        refuse_hidden(text)
        refuse_lines(text)
    except ValidationError as refusal:
        raise argparse.ArgumentTypeError(refusal.messages[0]) from refusal
    return normalized(text)


def _is_hidden(text: str, place: int) -> bool:
    letter = text[place]
    if letter in _BLANK:
        return True
    if letter in _LINE_BREAKS or letter in _VISIBLE_FORMATS:
        return False
    if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return False
    if letter in _JOINERS:
        return not _joins(text[place - 1 : place], text[place + 1 : place + 2])
    return not (letter in _TAGS and text[:place].rstrip(_TAGS).endswith(_FLAG))


def _joins(before: str, after: str) -> bool:
    """Return whether a joiner changes how its neighbours look: within an emoji, or in scripts with joined forms."""
    first, last = _JOINED_SCRIPTS
    return bool(before and after) and all(
        unicodedata.category(character) in ("So", "Sk", "Mn", "Mc") or first <= character <= last
        for character in (before, after)
    )


def _shows(letter: str) -> bool:
    return not letter.isspace() and unicodedata.category(letter) not in ("Mn", "Me", "Cf")


class _Typed:
    """Compose what a model field is given, for writing and for comparing, and refuse what hides something.

    The column is that of Django's own field, so migrations name that one.
    """

    def to_python(self, value: Any) -> Any:
        return _composed(super().to_python(value))  # type: ignore[misc]

    def pre_save(self, instance: models.Model, add: bool) -> Any:
        value = _composed(super().pre_save(instance, add))  # type: ignore[misc]
        setattr(instance, self.attname, value)  # type: ignore[attr-defined]
        return value

    def get_prep_value(self, value: Any) -> Any:
        return _composed(super().get_prep_value(value))  # type: ignore[misc]

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()  # type: ignore[misc]
        return name, f"django.db.models.{self.get_internal_type()}", args, kwargs  # type: ignore[attr-defined]


if TYPE_CHECKING:
    _CharField = models.CharField[str | Combinable, str]
    _TextField = models.TextField[str | Combinable, str]
else:
    _CharField, _TextField = models.CharField, models.TextField


class TypedNoteField(_Typed, _CharField):
    """A short text of one or more lines that people type."""

    default_validators = [refuse_hidden]


class TypedLineField(TypedNoteField):
    """A line that people type, such as a name or a title."""

    default_validators = [refuse_hidden, refuse_lines]


class TypedTextField(_Typed, _TextField):
    """A text of several lines that people type."""

    default_validators = [refuse_hidden]


class TypedNote(forms.CharField):
    """A text of one or more lines in a form without a model, which ends lines as HTML and JSON do."""

    default_validators = [refuse_hidden]

    def to_python(self, value: Any) -> str:
        return normalized(super().to_python(value) or "").replace("\r\n", "\n")


class TypedLine(TypedNote):
    """A line in a form without a model."""

    default_validators = [refuse_hidden, refuse_lines]


def _composed(value: Any) -> Any:
    return normalized(value) if isinstance(value, str) else value
