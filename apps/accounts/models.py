import hashlib
import re
import unicodedata
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Self

from django.contrib.auth.models import (
    AbstractBaseUser,
    BaseUserManager,
    PermissionsMixin,
)
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.ended_logins import end_login_copies
from apps.accounts.triggers import new_password_ends_logins, same_password
from apps.core.search import search, search_index
from apps.core.texts import TypedLineField, normalized

# Of the addresses by which customers of the counter who have no account are kept apart. No mail is ever delivered there (RFC 2606).
WALK_UP_DOMAIN = "counter.invalid"

_ADDRESS = re.compile(r"[^\s<>(),;:\"]+@[^\s<>(),;:\"]*")


def validate_ascii(value: str) -> None:
    # Lower-casing is the same in Python and in every PostgreSQL locale for ASCII only; an
    # international domain can be given in its xn-- form.
    if not value.isascii():
        raise ValidationError(_("Enter a valid email address."), code="invalid")


class UserManager(BaseUserManager["User"]):
    def create_user(
        self, email: str, password: str | None = None, *, name: str = "", **fields: Any
    ) -> "User":
        """Insert an account; without a password it cannot log in."""
        user = self.model(email=normalized_email(email), name=name, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(
        self, email: str, password: str | None = None, *, name: str = "", **fields: Any
    ) -> "User":
        return self.create_user(
            email, password, name=name, is_staff=True, is_superuser=True, **fields
        )

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=normalized_email(username or ""))

    def called(self, text: str) -> models.QuerySet["User"]:
        """Return the accounts whose address begins with a text, or with the address in it, or whose name has its words."""
        first, *rest = self._ways_to_call(text)
        if not rest:
            return first
        # A union: with `or` neither index would be used.
        return self.filter(
            pk__in=first.values("pk").union(*(way.values("pk") for way in rest), all=True)
        )

    def ids_called(self, text: str, limit: int) -> list[int]:
        """Return the ids of those accounts, or of `limit` of them: of a name that very many have, no more are read."""
        found: set[int] = set()
        for way in self._ways_to_call(text):
            found |= set(way.values_list("pk", flat=True)[:limit])
        return sorted(found)[:limit]

    def _ways_to_call(self, text: str) -> list[models.QuerySet["User"]]:
        """Return the accounts that a text may mean, by each index for itself."""
        if "," not in text and (address := _ADDRESS.search(text)):
            return [self.filter(email__startswith=normalized_email(address[0]))]
        named = search(self.all(), text, ["name"], forgiving=False)
        beginning = normalized_email(text)
        if not beginning.isascii() or " " in beginning:
            return [named]
        return [named, self.filter(email__startswith=beginning)]


def token_digest(token: str) -> bytes:
    """Return the part of a token that is stored. A token has 256 random bits, so a fast hash without salt is enough."""
    return hashlib.sha256(token.encode()).digest()


def normalized_email(email: str) -> str:
    """Return the form in which addresses are stored and compared, also of one typed in full-width letters."""
    return unicodedata.normalize("NFKC", email).strip().lower()


class User(AbstractBaseUser, PermissionsMixin):
    """A customer, or a member of staff.

    A new password, however it is set, ends the logins that were got with the one before: the sessions of pages, because they carry
    a digest of its hash; access tokens by a trigger; and copies of these with the commit of `save`. A change of the hash
    that goes around `save` leaves copies to live for their minute.
    """

    email = models.EmailField(_("email address"), max_length=254, validators=[validate_ascii])
    name = TypedLineField(_("name"), max_length=100)
    is_active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("Take this away instead of deleting the account."),
    )
    is_staff = models.BooleanField(
        _("staff"), default=False, help_text=_("May open the administration.")
    )
    joined_at = models.DateTimeField(_("joined at"), default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [
            # Together: unique without regard to case, and one plain index serves the log-in.
            models.UniqueConstraint(fields=["email"], name="user_email_unique"),
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="user_email_lower_case"
            ),
        ]
        # By which staff find people.
        indexes = [
            models.Index(
                fields=["email"], opclasses=["varchar_pattern_ops"], name="user_email_beginning"
            ),
            search_index("name", name="user_name_search"),
            models.Index(fields=["joined_at"], name="user_by_time"),
        ]
        triggers = [new_password_ends_logins()]

    _has_new_password = False  # set, and not saved yet
    _hash_compared: str | None = (
        None  # while a password is compared, after which Django may save a better hash of it
    )

    def __str__(self) -> str:
        return self.name if self.is_walk_up else self.email

    @property
    def is_walk_up(self) -> bool:
        """Tell whether this is a customer of the counter without an account: the address is no address, and is shown nowhere."""
        return self.email.endswith(f"@{WALK_UP_DOMAIN}")

    @property
    def shown_as(self) -> str:
        """Return the name and, of a customer who has one, the address."""
        if self.is_walk_up:
            return gettext("%(name)s (walk-up)") % {"name": self.name}
        return f"{self.name} <{self.email}>"

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(raw_password and normalized(raw_password))
        self._has_new_password = True

    def set_unusable_password(self) -> None:
        super().set_unusable_password()
        self._has_new_password = True

    def check_password(self, raw_password: str | None) -> bool:
        """Compare with the composed password, as it is set; and as it was typed, as it was set before that was done."""
        composed = raw_password and normalized(raw_password)
        self._hash_compared = self.password
        try:
            return super().check_password(composed) or (
                composed != raw_password and super().check_password(raw_password)
            )
        finally:
            self._hash_compared = None

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._hash_compared is not None:
            self._save_better_hash(self._hash_compared)
            return
        is_new = self._state.adding
        super().save(*args, **kwargs)
        if self._has_new_password and not is_new:
            tokens = self.access_tokens.filter(expires_at__gt=timezone.now())
            hashes = list(tokens.values_list("token_hash", flat=True))
            transaction.on_commit(partial(end_login_copies, hashes))
        self._has_new_password = False

    def _save_better_hash(self, former: str) -> None:
        """Store another hash of the same password, which ends no logins, unless it is no longer the account's password."""
        with same_password():
            User.objects.filter(pk=self.pk, password=former).update(password=self.password)
        self._has_new_password = False

    def clean(self) -> None:
        self.email = normalized_email(self.email)

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name


class AccessTokenQuerySet(models.QuerySet["AccessToken"]):
    def live(self, *, at: datetime) -> Self:
        return self.filter(revoked_at=None, expires_at__gt=at)


class AccessToken(models.Model):
    """A login of the API. Only the digest of the token is kept."""

    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        related_name="access_tokens",
        verbose_name=_("user"),
    )
    token_hash = models.BinaryField(_("SHA-256 of the token"), max_length=32)
    created_at = models.DateTimeField(_("created at"))
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    objects = AccessTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")
        constraints = [
            models.UniqueConstraint(fields=["token_hash"], name="access_token_hash_unique"),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")),
                name="access_token_expires_after_creation",
            ),
        ]
        indexes = [
            # The purge walks it in this order.
            models.Index(fields=["expires_at", "id"], name="access_token_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}"
