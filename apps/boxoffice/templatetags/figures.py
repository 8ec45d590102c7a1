"""Filters for pages of figures."""

from django import template

from apps.boxoffice.base.words import NOTHING, in_won

register = template.Library()


@register.filter
def thousands(number: int | None) -> str:
    """Write a whole number in groups of three digits; a dash for one that is not known."""
    return NOTHING if number is None else f"{number:,}"


@register.filter
def won(amount: int | None) -> str:
    return NOTHING if amount is None else in_won(amount)
