"""Register, log in and out, and the wallet."""

from typing import ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import authenticate, login, logout
from django.core.paginator import Paginator
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.i18n import set_language

from apps.accounts.errors import EmailTaken, InvalidCredentials, TooManyFailures
from apps.accounts.guesses import Entrance, Guess
from apps.accounts.hashers import refuse_if_busy
from apps.accounts.models import User
from apps.accounts.services import register_customer
from apps.api.addresses import client_network
from apps.boxoffice import refusals as admin_refusals
from apps.core.codes import CODES
from apps.core.errors import DomainError, IdempotencyKeyReused, TooBusy
from apps.payments.errors import BalanceLimitExceeded
from apps.payments.selectors import transactions_of_customer, wallet_balance
from apps.storefront.forms import LoginForm, RegistrationForm, TopUpForm
from apps.storefront.join_intent import forget_join_intent, join_intent_of
from apps.storefront.known_device import device_of, keep_device, new_device
from apps.storefront.submissions import new_key, submit_top_up
from apps.storefront.views.base import PageView, is_from_our_page, message_of, out_of_date_words
from apps.storefront.views.waiting import QueueView
from apps.storefront.wording import won

TRANSACTIONS_A_PAGE = 20
TOP_UPS = (50_000, 100_000, 300_000, 1_000_000)  # won


class PasswordView(PageView):
    """A page that takes a password. It is refused before it is counted or read while too many passwords are being hashed.

    Its failures are counted as guesses. Calls are counted only where `rate_limits` says so.
    """

    entrance: ClassVar[Entrance] = Entrance.SHOP

    def refuse_if_too_many(self) -> None:
        if self.request.method != "POST":
            return
        refuse_if_busy()
        if self.rate_limits:
            super().refuse_if_too_many()

    def guess_of(self, account: str) -> Guess:
        network = client_network(self.request.META)
        return Guess(self.entrance, account=account, network=network, device=self.device)

    @cached_property
    def device(self) -> str:
        return device_of(self.request) or new_device()

    def known_again(self, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response to a right password, by which the browser is told its number."""
        keep_device(response, self.device)
        return response


class CredentialsView(PasswordView):
    """A form with a password, for who is not logged in. Refused for a while, it comes back to be sent once more."""

    form_class: ClassVar[type[Form]]
    template: ClassVar[str]

    def get(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            return HttpResponseRedirect(next_url(request))
        return self._page(self.form_class())

    def handle_error(self, error: DomainError) -> HttpResponse:
        if isinstance(error, TooBusy):
            reason = _(
                "Very many people are logging in at this moment. Please try again in a few seconds."
            )
        elif isinstance(error, TooManyFailures):
            reason = error.message
        else:
            return super().handle_error(error)
        response = self._page_again(reason, status=CODES[error.code].status)
        response.headers["Retry-After"] = str(error.retry_after)
        return response

    def form_out_of_date(self) -> HttpResponse:
        if self.request.user.is_authenticated or not is_from_our_page(self.request):
            return super().form_out_of_date()
        return self._page_again(out_of_date_words(), status=403)

    def log_in(self, customer: User) -> HttpResponseBase:
        """Lead on to where the visitor was going: into the queue if that is what was pressed."""
        login(self.request, customer)
        concert_id = self._concert_to_join()
        if concert_id is None:
            return self.known_again(HttpResponseRedirect(next_url(self.request)))
        response = QueueView.as_view()(self.request, concert_id=concert_id)
        forget_join_intent(response)
        return self.known_again(response)

    def _concert_to_join(self) -> int | None:
        """Return the concert whose queue the visitor pressed to join, if this is the login that the press led to."""
        concert_id = join_intent_of(self.request)
        if concert_id is None:
            return None
        pressed_on = reverse("storefront:concert", args=[concert_id])
        return concert_id if next_url(self.request) == pressed_on else None

    def _page_again(self, reason: str, status: int) -> HttpResponse:
        """Return the page with what was typed, and why it was not taken."""
        form = self.form_class(self.request.POST)
        form.full_clean()
        form.add_error(None, reason)
        return self._page(form, status)

    def _page(self, form: Form, status: int = 200) -> HttpResponse:
        context = {
            "form": form,
            "next": next_url(self.request),
            "joins": self._concert_to_join() is not None,
        }
        return render(self.request, self.template, context, status=status)


class RegisterView(CredentialsView):
    form_class = RegistrationForm
    template = "storefront/register.html"
    rate_limits: ClassVar = {"POST": "register"}

    def post(self, request: HttpRequest) -> HttpResponseBase:
        form = RegistrationForm(request.POST)
        if not form.is_valid():
            return self._page(form, status=400)
        try:
            with self.guess_of(form.cleaned_data["email"]) as guess:
                customer = register_customer(**form.cleaned_data)
                guess.was_right()
        except EmailTaken as error:
            form.add_error("email", message_of(error))
            return self._page(form, status=409)
        messages.success(request, _("Welcome, %(name)s.") % {"name": customer.name})
        return self.log_in(customer)


class LoginView(CredentialsView):
    form_class = LoginForm
    template = "storefront/login.html"

    def post(self, request: HttpRequest) -> HttpResponseBase:
        form = LoginForm(request.POST)
        if form.is_valid():
            email, password = form.cleaned_data["email"], form.cleaned_data["password"]
            with self.guess_of(email) as guess:
                customer = authenticate(request, username=email, password=password)
                if customer is not None:
                    guess.was_right()
            if customer is not None:
                return self.log_in(customer)
            form.add_error(None, message_of(InvalidCredentials()))
        return self._page(form, status=400)


class StaffLoginView(PasswordView):
    """The admin's own page. What happens at the doors of the shop keeps no staff out."""

    entrance = Entrance.STAFF

    def get(self, request: HttpRequest) -> HttpResponse:
        return admin.site.login(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        with self.guess_of(request.POST.get("username", "")) as guess:
            response = admin.site.login(request)
            if response.status_code == 302:
                guess.was_right()
                self.known_again(response)
        return response

    def handle_error(self, error: DomainError) -> HttpResponse:
        if not isinstance(error, TooManyFailures):
            return admin_refusals.refuse(self.request, admin_refusals.failed(error))
        messages.error(self.request, error.message)
        # The page as it is first shown: sending the form to Django would compare the password.
        self.request.method = "GET"
        response = admin.site.login(self.request)
        if response.status_code == 200:
            response.status_code = CODES[error.code].status
            response.headers["Retry-After"] = str(error.retry_after)
        return response


class StaffPasswordView(PasswordView):
    """The admin's page for a new password of one's own. It asks for the old one, which is a guess like a login."""

    entrance = Entrance.STAFF

    def get(self, request: HttpRequest) -> HttpResponse:
        return _change_own_password(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        if not admin.site.has_permission(request):
            return _change_own_password(request)
        with self.guess_of(request.user.get_username()) as guess:
            response = _change_own_password(request)
            form = (getattr(response, "context_data", None) or {}).get("form")
            if form is None or "old_password" not in form.errors:
                guess.was_right()
                self.known_again(response)
        return response

    def handle_error(self, error: DomainError) -> HttpResponse:
        return admin_refusals.refuse(self.request, admin_refusals.failed(error))


def _change_own_password(request: HttpRequest) -> HttpResponse:
    view = admin.site.admin_view(admin.site.password_change, cacheable=True)
    response: HttpResponse = view(request)
    return response


class LanguageView(PageView):
    """Django's own switch, which leads on to `next`. As a page it leads home and not to the referrer: that may be itself."""

    takes_old_forms = True

    def post(self, request: HttpRequest) -> HttpResponseBase:
        return set_language(request)


class LogoutView(PageView):
    takes_old_forms = True

    def post(self, request: HttpRequest) -> HttpResponse:
        logout(request)
        return redirect("storefront:home")


class WalletView(PageView):
    needs_login = True
    rate_limits: ClassVar = {"POST": "charge"}

    def form_url(self) -> str:
        """Name the page that sent the form; the checkout has one, too."""
        return next_url(self.request, default="storefront:wallet")

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(TopUpForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = TopUpForm(request.POST)
        if not form.is_valid():
            return self._page(form, status=400)
        try:
            balance = submit_top_up(customer_id=self.customer_id, **form.cleaned_data)
        except BalanceLimitExceeded as error:
            form.add_error("amount", message_of(error))
            return self._page(form, status=409)
        except IdempotencyKeyReused:
            # The page was shown again by the browser's "back" and sent with another amount.
            used = _("This form was sent before. Nothing was booked now: choose the amount again.")
            form.add_error(None, used)
            return self._page(form, status=409)
        messages.success(request, _("Topped up. Your balance is %(won)s.") % {"won": won(balance)})
        return HttpResponseRedirect(next_url(request, default="storefront:wallet"))

    def _page(self, form: TopUpForm, status: int = 200) -> HttpResponse:
        found = transactions_of_customer(customer_id=self.customer_id)
        context = {
            "form": form,
            "keys": {"button": new_key(), "amount": new_key()},
            "amounts": TOP_UPS,
            "charge_limit": settings.CHARGE_LIMIT,
            "balance": wallet_balance(customer_id=self.customer_id),
            "page": Paginator(found, TRANSACTIONS_A_PAGE).get_page(self.request.GET.get("page")),
            "next": next_url(self.request, default="storefront:wallet"),
        }
        return render(self.request, "storefront/wallet.html", context, status=status)


def next_url(request: HttpRequest, default: str = "storefront:home") -> str:
    """Return where the visitor was going; only ever a page of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    # A path and nothing else: Django would take a word without a slash for the name of a page.
    return wanted if is_ours and wanted.startswith("/") else reverse(default)
