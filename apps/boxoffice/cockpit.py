"""The cockpit: one page with everything about a sale as it runs, for as many members of staff as care to look.

What it shows is read once for all of them (`readings/sale.py`), and written once for each language. The page fetches itself anew with a pass
(`passes.py`), so a refresh asks neither the database nor the store for anything.
"""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.generic import TemplateView

from apps.accounts.models import User
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.passes import HEADER, issue_pass, rights_by_pass
from apps.boxoffice.readings.house import house, house_readings
from apps.boxoffice.readings.sale import sale_readings
from apps.boxoffice.rights import COCKPIT, Rights, rights_of
from apps.boxoffice.sale_picture import picture_of
from apps.core.caching import ProcessCache
from apps.core.shared_readings import Reading

# A text for each reading, language and kind of viewer; a reading is shown for two seconds.
_written: ProcessCache[tuple[Any, ...], SafeString] = ProcessCache(seconds=10, entries_max=64)


class CockpitView(StaffPage, TemplateView):
    """The page of one concert: its figures as they are, and a pass to fetch them again."""

    permission_required = (COCKPIT,)
    template_name = "admin/boxoffice/cockpit.html"
    title = ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        concert_id: int = self.kwargs["concert_id"]
        assert isinstance(self.request.user, User)
        reading = sale_readings.get(str(concert_id))
        if reading is not None:
            self.title = _title_of(reading)
        context: dict[str, Any] = super().get_context_data(
            figures=figures_of(concert_id, reading, rights_of(self.request.user)),
            figures_pass=issue_pass(self.request),
            **kwargs,
        )
        return context


@require_safe
@never_cache
def figures(request: HttpRequest, concert_id: int) -> HttpResponse:
    """Answer with the figures alone, to a pass or to a login with the right to see them."""
    known = house()
    rights = rights_by_pass(request, known and known["viewers"])
    new_pass = None
    if rights is None:
        user = request.user
        rights = rights_of(user) if isinstance(user, User) and user.is_staff else None
        new_pass = issue_pass(request) if rights and rights.cockpit else None
    if rights is None or not rights.cockpit:
        return HttpResponse(status=403)
    reading = sale_readings.get(str(concert_id))
    response = HttpResponse(figures_of(concert_id, reading, rights))
    if reading is not None:
        _title_of(reading)
        response.headers["X-Figures-Version"] = reading.version
    if new_pass is not None:
        response.headers[HEADER] = new_pass
    return response


def figures_of(concert_id: int, reading: Reading | None, rights: Rights) -> SafeString:
    """Return the figures as HTML, in the language of the request."""
    of_house = house_readings.get()
    key = (
        concert_id,
        reading and (reading.version, reading.is_late),
        of_house and of_house.version,
        get_language(),
        rights,
    )

    def write() -> SafeString:
        context = picture_of(
            concert_id,
            reading,
            of_house.data if of_house else None,
            rights,
        )
        return render_to_string("admin/boxoffice/_sale.html", context)

    return _written.get(key, write)


def _title_of(reading: Reading) -> str:
    """
    :raises Http404: there is no such concert.
    """
    if reading.data["concert"] is None:
        raise Http404
    title: str = reading.data["concert"]["title"]
    return title
