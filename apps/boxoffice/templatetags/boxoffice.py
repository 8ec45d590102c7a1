"""Tags for the templates that stand in for those of the admin's theme."""

from collections.abc import Sequence
from typing import Any

from django import template
from django.db.models import Model

from apps.boxoffice.base.words import in_won, title_of
from apps.boxoffice.empty_lists import NEXT_STEPS, NextStep
from apps.boxoffice.navigation import way_to

register = template.Library()
register.filter("in_won", in_won)

Part = dict[str, Any]


@register.simple_tag
def trail(parts: Sequence[Part]) -> list[Part]:
    """Return the way to a page: section and list as the sidebar has them; or the list, and the object as people call it.

    `parts` are those of the theme: app, list, object.
    """
    called = [_called(part) for part in parts]
    if len(parts) > 1 and (way := way_to(str(parts[1]["link"]))):
        section, listing = way
        called[:2] = [{"title": section}, {**parts[1], "title": listing}]
    return called[1:] if len(parts) > 2 else called


@register.simple_tag(takes_context=True)
def next_step(context: Any, opts: Any) -> NextStep | None:
    """Return what fills the list of a model, for those who may do it."""
    step = NEXT_STEPS.get(opts.label_lower)
    return step if step and step.is_for(context.request) else None


def _called(part: Part) -> Part:
    title = part["title"]
    return {**part, "title": title_of(title) if isinstance(title, Model) else title}
