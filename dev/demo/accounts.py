"""Accounts of the demo: its logins, and the crowd that bought before they came."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group

from apps.accounts.models import User
from apps.boxoffice.roles import ADMINISTRATOR, BOX_OFFICE, FINANCE, OPERATIONS
from apps.payments.models import Wallet
from apps.payments.services import charge_wallet

CUSTOMER = "customer"
WELCOME_MONEY = 500_000  # won
FANS = 40


@dataclass(frozen=True, slots=True)
class Persona:
    """Describe a login of the demo; `group` is the role of staff that it has."""

    role: str
    email: str
    name: str
    group: str = ""

    @property
    def path(self) -> str:
        return "/admin/" if self.group else "/"


PERSONAS = (
    Persona(CUSTOMER, "mina@demo.example", "Mina Demo"),
    Persona("box office", "clerk@demo.example", "Jun Demo", BOX_OFFICE),
    Persona("finance", "finance@demo.example", "Nari Demo", FINANCE),
    Persona("operations", "operations@demo.example", "Teo Demo", OPERATIONS),
    Persona("administrator", "admin@demo.example", "Ada Demo", ADMINISTRATOR),
)


@dataclass(frozen=True, slots=True)
class Login:
    """Hold a login as it is printed and written to `demo_logins.json`."""

    role: str
    email: str
    password: str
    url: str


def logins_path() -> Path:
    return Path(settings.DATA_DIR) / "demo_logins.json"


def load_logins() -> list[Login]:
    """Make an account for a customer and one for each role of staff; each installation has passwords of its own, which are kept from start to start."""
    known = _known_passwords()
    logins = []
    for persona in PERSONAS:
        password = known.get(persona.email) or secrets.token_urlsafe(9)
        _load_user(persona, password)
        url = f"{settings.BASE_URL.rstrip('/')}{persona.path}"
        logins.append(Login(persona.role, persona.email, password, url))
    _write_logins(logins)
    return logins


def load_fans() -> list[User]:
    """Return customers who cannot log in."""
    emails = [f"fan{number:02}@demo.example" for number in range(1, FANS + 1)]
    found = {user.email: user for user in User.objects.filter(email__in=emails)}
    return [
        found.get(email) or User.objects.create_user(email, name=f"Fan {number}")
        for number, email in enumerate(emails, start=1)
    ]


def _load_user(persona: Persona, password: str) -> None:
    user = User.objects.filter(email=persona.email).first()
    if user is None:
        user = User.objects.create_user(
            persona.email,
            password,
            name=persona.name,
            is_staff=bool(persona.group),
        )
    elif not user.check_password(password):
        # The file is new or of another database: what it says must be true.
        user.set_password(password)
        user.save(update_fields=["password"])
    if persona.group:
        user.groups.set([Group.objects.get(name=persona.group)])
    if persona.role == CUSTOMER and not Wallet.objects.filter(pk=user.pk).exists():
        customer_id = user.pk
        charge_wallet(customer_id=customer_id, amount=WELCOME_MONEY)


def _known_passwords() -> dict[str, str]:
    try:
        logins = json.loads(logins_path().read_text())
        return {login["email"]: login["password"] for login in logins}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _write_logins(logins: list[Login]) -> None:
    path = logins_path()
    path.touch(mode=0o600)
    path.write_text(json.dumps([asdict(login) for login in logins], indent=2) + "\n")
