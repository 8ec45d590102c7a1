"""Define what the notices of staff have in common, to whomever they are shown."""

from datetime import datetime
from typing import Self, TypeVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from apps.core.notices import NOTICE_MAX, NoticeText
from apps.core.texts import TypedNoteField

NO_TEXT = _("Enter a text in at least one language.")


N = TypeVar("N", bound="Notice")


class NoticeQuerySet(models.QuerySet[N]):
    def standing(self) -> Self:
        """Keep those that were neither taken back nor replaced."""
        return self.filter(ended_at=None)

    def end(self, notice_id: int, *, at: datetime, staff_id: int) -> bool:
        """Note that a notice is shown no longer; returns False if that was noted before, or it was never there."""
        mine = self.standing().filter(pk=notice_id)
        return bool(mine.update(ended_at=at, ended_by=staff_id))


class Notice(models.Model):
    """A text that staff show to some people, with its author, and who ended it. Stored once, however many read it."""

    text_ko = TypedNoteField(
        _("text in Korean"), max_length=NOTICE_MAX, blank=True, default="", db_default=""
    )
    text_en = TypedNoteField(
        _("text in English"), max_length=NOTICE_MAX, blank=True, default="", db_default=""
    )
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        verbose_name=_("sent by"),
    )
    sent_at = models.DateTimeField(_("sent at"))
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        verbose_name=_("ended by"),
    )
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=~Q(text_ko="", text_en=""),
                name="%(class)s_has_text",
                violation_error_message=NO_TEXT,
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None, ended_by=None)
                | Q(ended_at__isnull=False, ended_by__isnull=False),
                name="%(class)s_ended_by_an_account",
            ),
        ]

    def __str__(self) -> str:
        return self.text

    @property
    def wording(self) -> NoticeText:
        return NoticeText(en=self.text_en, ko=self.text_ko)

    @property
    def text(self) -> str:
        """Return it for a reader in the language of this request."""
        return self.wording.in_language(get_language())
