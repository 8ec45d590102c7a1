"""The report of sales for those who settle them: on a page, and as a file that is whole."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import structlog
from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import TemplateView

from apps.boxoffice.base.days import DayField
from apps.boxoffice.base.pages import StaffPage
from apps.concerts.models import venue_day
from apps.core.audit_sessions import audit_session
from apps.core.spreadsheets import FORMATS, Table, file_of
from apps.core.transactions import QUERY_CANCELED, sqlstate
from apps.reservations.sales_report import (
    DAYS_MAX,
    HEADERS,
    SECONDS,
    TooManyLines,
    by_day,
    movements_table,
    sales_of,
    sales_table,
)

logger = structlog.get_logger(__name__)

REPORT = "reservations_sales_report"
LINES_OF_A_PAGE = 2_000
LINES_OF_A_FILE = 100_000  # a web process makes them in some seconds


class PeriodForm(forms.Form):
    first = DayField(label=_("From"))
    last = DayField(label=_("To, this day included"))

    def clean(self) -> dict[str, Any]:
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and not timedelta(0) <= last - first < timedelta(days=DAYS_MAX):
            self.add_error(
                "last", _("Choose a day that is not before the first, and within a year of it.")
            )
        return self.cleaned_data


def _days_offered(today: date) -> list[dict[str, Any]]:
    first_of_month = today.replace(day=1)
    last_of_last_month = first_of_month - timedelta(days=1)
    yesterday = today - timedelta(days=1)
    return [
        {"label": _("Yesterday"), "first": yesterday, "last": yesterday},
        {"label": _("Today"), "first": today, "last": today},
        {"label": _("Last 7 days"), "first": today - timedelta(days=7), "last": yesterday},
        {"label": _("This month"), "first": first_of_month, "last": today},
        {
            "label": _("Last month"),
            "first": last_of_last_month.replace(day=1),
            "last": last_of_last_month,
        },
    ]


class SalesReportView(StaffPage, TemplateView):
    """Show the sales of some days, of yesterday if none are named; `?file=csv` and `xlsx` send them, or each movement with `&each=1`."""

    title = _("Sales by concert and day")
    permission_required = ("payments.view_ledgertransaction",)
    template_name = "admin/reservations/sales_report.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = PeriodForm(self._asked(request.GET))
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form))
        first, last = form.cleaned_data["first"], form.cleaned_data["last"]
        format = request.GET.get("file")
        if format in FORMATS and not request.user.has_perm("payments.export_money"):
            raise PermissionDenied
        try:
            if format in FORMATS:
                return self._send(format, first, last)
            return self._show(form, first, last)
        except OperationalError as error:
            if sqlstate(error) != QUERY_CANCELED:
                raise
            return self._again(gettext("This took too long. Choose fewer days."))
        except TooManyLines:
            return self._again(
                gettext("A file has %(lines)s lines at most. Choose fewer days.")
                % {"lines": f"{LINES_OF_A_FILE:,}"}
            )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        today = venue_day(timezone.now())
        return super().get_context_data(
            offered=_days_offered(today),
            may_export=self.request.user.has_perm("payments.export_money"),
            **kwargs,
        )

    @staticmethod
    def _asked(query: QueryDict) -> dict[str, Any]:
        yesterday = (venue_day(timezone.now()) - timedelta(days=1)).isoformat()
        return {name: query.get(name, yesterday) for name in ("first", "last")}

    def _show(self, form: PeriodForm, first: date, last: date) -> HttpResponse:
        found = sales_of(first, last)
        days, total = by_day(found[:LINES_OF_A_PAGE])
        if is_cut := len(found) > LINES_OF_A_PAGE:
            days = days[:-1] or days  # the last may lack concerts, and its total their sales
        context = self.get_context_data(
            form=form,
            days=days,
            headers=HEADERS.values(),
            total=total,
            is_cut=is_cut,
            period={"first": first.isoformat(), "last": last.isoformat()},
        )
        return self.render_to_response(context)

    def _send(self, format: str, first: date, last: date) -> HttpResponse:
        tables: dict[bool, Callable[[], Table]] = {
            False: lambda: sales_table(first, last),
            True: lambda: movements_table(first, last, most=LINES_OF_A_FILE),
        }
        is_each = "each" in self.request.GET
        with audit_session(seconds=SECONDS):
            content = file_of(tables[is_each](), format)
        days = f"{first:%Y-%m-%d}" if first == last else f"{first:%Y-%m-%d}-to-{last:%Y-%m-%d}"
        name = f"{'movements' if is_each else 'sales'}-{days}.{format}"
        logger.info(
            "money_exported",
            staff_id=self.request.user.pk,
            first=first.isoformat(),
            last=last.isoformat(),
            each=is_each,
        )
        # Complete before the first byte is sent, and with its length: no thread waits for a slow reader, and what is cut off is noticed.
        return HttpResponse(
            content,
            content_type=FORMATS[format][1],
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _again(self, note: str) -> HttpResponse:
        messages.error(self.request, note)
        return redirect(reverse(f"admin:{REPORT}"))
