"""The page on which staff find an order, whatever the caller knows of it."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.boxoffice.base.days import DayField
from apps.boxoffice.base.keyset import KeysetPage, newest_first
from apps.boxoffice.base.lists import TEXT_MAX
from apps.boxoffice.base.lookups import Ids, NamesTooMany
from apps.boxoffice.base.pages import StaffPage
from apps.concerts.models import Concert
from apps.core.path_converters import BIGINT_MAX
from apps.core.texts import normalized
from apps.core.transactions import QUERY_CANCELED, sqlstate
from apps.reservations.finding import orders_found
from apps.reservations.models import Hold

FIND = "reservations_reservation_find"
ORDERS_A_PAGE = 25
OTHERS_SHOWN = 5
CONCERTS_OFFERED = 100


class SearchInput(UnfoldAdminTextInputWidget):
    input_type = "search"


class FindForm(forms.Form):
    q = forms.CharField(
        label=_("Order"),
        required=False,
        widget=SearchInput({"autofocus": True}),
        help_text=_(
            "An order number, a ticket code, a name or part of it, an email address, a seat such as A 3-12, "
            "an id, or a day."
        ),
    )
    concert = forms.ChoiceField(label=_("Concert"), required=False, widget=UnfoldAdminSelectWidget)
    day = DayField(label=_("Day of the performance"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.fields["concert"].choices = _concerts(data.get("concert", ""))  # type: ignore[attr-defined]

    def clean_q(self) -> str:
        typed = normalized(self.cleaned_data["q"]).replace("\x00", "")
        return " ".join(typed.split())[:TEXT_MAX]

    def clean_concert(self) -> int | None:
        chosen: str = self.cleaned_data["concert"]
        return int(chosen) if chosen else None


def _concerts(chosen: str) -> Sequence[tuple[str, Any]]:
    """Offer the concerts with a date to come, and the one that is chosen."""
    concerts = Concert.objects.not_ended(at=timezone.now()).order_by("title", "pk")
    offered = {
        str(pk): title for pk, title in concerts.values_list("pk", "title")[:CONCERTS_OFFERED]
    }
    if chosen.isascii() and chosen.isdecimal() and len(chosen) < 20 and chosen not in offered:
        found = Concert.objects.filter(pk=min(int(chosen), BIGINT_MAX))
        offered |= {str(pk): title for pk, title in found.values_list("pk", "title")}
    return [("", _("All concerts")), *offered.items()]


class FindOrderView(StaffPage, TemplateView):
    """Show the orders that match, the newest first; one that is the only match is opened."""

    title = _("Find an order")
    permission_required = ("reservations.view_reservation",)
    template_name = "admin/reservations/find.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = FindForm(request.GET)
        text, note = "", ""
        page = KeysetPage([], "")
        if form.is_valid():
            text = form.cleaned_data["q"]
            try:
                page = self._page(form.cleaned_data)
            except NamesTooMany:
                note = gettext(
                    "Very many orders match this. Type more, or choose a concert or a day."
                )
            except OperationalError as error:
                if sqlstate(error) != QUERY_CANCELED:
                    raise
                note = gettext(
                    "This took too long and was stopped. Type more, or choose a concert or a day."
                )
        if text and len(page.rows) == 1 and "behind" not in request.GET:
            return redirect("admin:reservations_reservation_change", page.rows[0].pk)
        context = self.get_context_data(
            form=form, page=page, note=note, asked=text, **self._others(text)
        )
        return self.render_to_response(context)

    def _page(self, asked: dict[str, Any]) -> KeysetPage:
        found = orders_found(asked["q"], concert_id=asked["concert"], day=asked["day"])
        return newest_first(
            found,
            "reserved_at",
            behind=self.request.GET.get("behind", ""),
            size=ORDERS_A_PAGE,
        )

    def _others(self, text: str) -> dict[str, Any]:
        """Return who and what else has this name: customers who have bought nothing call, too."""
        people: list[User] = []
        if text and self.request.user.has_perm("accounts.view_user"):
            ids = User.objects.ids_called(text, OTHERS_SHOWN)
            people = list(User.objects.filter(pk__in=ids).order_by("pk"))
        holds: list[Hold] = []
        if (id_ := Ids(("pk",)).find(text)) is not None:
            unpaid = Hold.objects.filter(id_, reservation=None).select_related(
                "performance__concert"
            )
            holds = list(unpaid.order_by("pk")[:OTHERS_SHOWN])
        return {"people": people, "holds": holds}
