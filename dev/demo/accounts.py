"""Accounts of the demo: its logins, and the crowd that bought before they came."""

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from apps.accounts.models import User
from apps.payments.models import Wallet
from apps.payments.services import charge_wallet

CUSTOMER, CLERK, ADMINISTRATOR = "customer", "box-office clerk", "administrator"
CLERKS = "Box office"
WELCOME_MONEY = 500_000  # won
FANS = 40


@dataclass(frozen=True, slots=True)
class Persona:
    role: str
    email: str
    name: str
    path: str


PERSONAS = (
    Persona(CUSTOMER, "mina@demo.example", "Mina Demo", "/"),
    Persona(CLERK, "clerk@demo.example", "Jun Demo", "/admin/"),
    Persona(ADMINISTRATOR, "admin@demo.example", "Ada Demo", "/admin/"),
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
    """Make accounts for the three roles; each installation has passwords of its own, which are kept from start to start."""
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
            is_staff=persona.role in (CLERK, ADMINISTRATOR),
            is_superuser=persona.role == ADMINISTRATOR,
        )
    elif not user.check_password(password):
        # The file is new or of another database: what it says must be true.
        user.set_password(password)
        user.save(update_fields=["password"])
    if persona.role == CLERK:
        user.groups.add(_clerks())
    if persona.role == CUSTOMER and not Wallet.objects.filter(pk=user.pk).exists():
        customer_id = user.pk
        charge_wallet(customer_id=customer_id, amount=WELCOME_MONEY)


def _clerks() -> Group:
    """Return the group that may put concerts on sale, steer waiting rooms, look at everything that was sold; no money, no accounts."""
    group, is_new = Group.objects.get_or_create(name=CLERKS)
    if is_new:
        edits = Q(
            content_type__app_label="concerts", content_type__model__in=["concert", "performance"]
        )
        group.permissions.set(
            Permission.objects.filter(
                Q(
                    content_type__app_label__in=["concerts", "queue", "reservations"],
                    codename__startswith="view_",
                )
                | (edits & ~Q(codename__startswith="delete_"))
                | Q(codename__in=["add_seat", "change_seat", "change_waitingroom", "view_user"])
            )
        )
    return group


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
