from typing import ClassVar, cast

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import services
from apps.accounts.errors import EmailTaken, InvalidCredentials
from apps.accounts.guesses import Entrance, Guess
from apps.accounts.hashers import refuse_if_busy
from apps.accounts.models import AccessToken, User
from apps.accounts.serializers import (
    AccessTokenSerializer,
    CustomerSerializer,
    LoginSerializer,
    RegistrationSerializer,
)
from apps.api.addresses import client_network
from apps.api.schema import operation
from apps.api.views import ApiView

NO_STORE = {"Cache-Control": "no-store"}
CUSTOMER_EXAMPLE = {"user_id": 42, "email": "mina@example.com", "name": "Mina"}


class PasswordView(ApiView):
    """A call with a password. It is refused before it is counted or read while too many passwords are being hashed."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def check_throttles(self, request: Request) -> None:
        refuse_if_busy()
        super().check_throttles(request)


def guess_of(request: Request, account: str) -> Guess:
    return Guess(Entrance.SHOP, account=account, network=client_network(request.META))


class RegisterView(PasswordView):
    rate_limits: ClassVar = {"POST": "register"}

    @operation(
        summary="Open an account",
        description="Addresses are compared without regard to case. Log in afterwards to get an access token.",
        request=RegistrationSerializer,
        response=CustomerSerializer,
        status=201,
        errors=[EmailTaken],
        message=_("Welcome to Encore."),
        examples={
            "request": {
                "email": "mina@example.com",
                "password": "seven-green-kites",
                "name": "Mina",
            },
            "response": CUSTOMER_EXAMPLE,
        },
    )
    def post(self, request: Request) -> Response:
        given = self.validated(RegistrationSerializer)
        # A caller that asks for many addresses wants to know which are taken.
        with guess_of(request, given["email"]) as guess:
            customer = services.register_customer(**given)
            guess.was_right()
        return self.success(CustomerSerializer(customer).data, status=201)


class LoginView(PasswordView):
    """Failures are counted here, when there is an account to count them at, and no successes."""

    rate_limits: ClassVar = {"POST": "login"}

    def check_throttles(self, request: Request) -> None:
        refuse_if_busy()

    @operation(
        summary="Get an access token",
        description="The token goes into `Authorization: Bearer <access_token>` until it expires or is logged out.",
        request=LoginSerializer,
        response=AccessTokenSerializer,
        errors=[InvalidCredentials],
        message=_("You are logged in."),
        examples={
            "request": {"email": "mina@example.com", "password": "seven-green-kites"},
            "response": {
                "access_token": "Zk3rA0Wl8c2mQ5vT9yB7nE1xH4uJ6sDgPqLfOiRwXaY",
                "token_type": "Bearer",
                "expires_at": "2026-11-22T21:00:00Z",
                "user_id": 42,
            },
        },
    )
    def post(self, request: Request) -> Response:
        given = self.validated(LoginSerializer)
        guess = guess_of(request, given["email"])
        try:
            with guess:
                issued = services.log_in(**given)
                guess.was_right()
        finally:
            self.quota = guess.quota
        return self.success(AccessTokenSerializer(issued).data, headers=NO_STORE)


class LogoutView(ApiView):
    @operation(
        summary="End this login",
        description="The access token of this call is dead at once; other logins of the customer live on.",
        message=_("You are logged out."),
        examples={"response": {}},
    )
    def post(self, request: Request) -> Response:
        token = cast(AccessToken, request.auth)
        services.log_out(access_token_id=token.pk)
        return self.success({})


class MeView(ApiView):
    @operation(
        summary="Who is logged in",
        response=CustomerSerializer,
        message=_("Your account."),
        examples={"response": CUSTOMER_EXAMPLE},
    )
    def get(self, request: Request) -> Response:
        customer = cast(User, request.user)
        return self.success(CustomerSerializer(customer).data, headers=NO_STORE)
