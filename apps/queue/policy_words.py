"""Say in words what changed about a waiting room: its records keep names of columns, states and moments as the database has them."""

from datetime import datetime

from django.utils.translation import gettext as _

from apps.boxoffice.base.words import NOTHING, at_venue
from apps.queue.models import WaitingRoom


def field_in_words(field: str) -> str:
    """Return what people call a part of the policy, by the name that its records have."""
    if field == "removed_visitor":
        return _("removed visitor")
    if field == "is_published":
        return _("online")
    columns = {column.name: column for column in WaitingRoom._meta.fields}
    return str(columns[field].verbose_name) if field in columns else field


def value_in_words(field: str, value: str) -> str:
    """Return an old or a new value of a change as people read it: states by name, moments by the clocks of the venue."""
    if not value:
        return NOTHING
    if field == "state" and value in WaitingRoom.State:
        return str(WaitingRoom.State(value).label)
    if field == "is_published":
        return _("Yes") if value == str(True) else _("No")
    if field == "opens_at":
        return at_venue(datetime.fromisoformat(value))
    return value
