from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

DIGEST_LENGTH = 32


class Poster(models.Model):
    """The picture that staff have given a concert; without one it has the poster that is drawn from its words.

    Kept in the database, so that every web process has it. `digest` is of the picture, and part of its address.
    """

    class Format(models.TextChoices):
        PNG = "png", "PNG"
        JPEG = "jpeg", "JPEG"
        WEBP = "webp", "WebP"

    concert = models.OneToOneField(
        "concerts.Concert",
        on_delete=models.CASCADE,
        related_name="poster",
        verbose_name=_("concert"),
    )
    digest = models.CharField(_("digest"), max_length=DIGEST_LENGTH, db_index=True)
    format = models.CharField(_("format"), max_length=4, choices=Format)
    width = models.PositiveSmallIntegerField(_("width"), help_text=_("In pixels."))
    height = models.PositiveSmallIntegerField(_("height"), help_text=_("In pixels."))
    image = models.BinaryField()
    uploaded_at = models.DateTimeField(_("uploaded at"), default=timezone.now)

    class Meta:
        verbose_name = _("poster")
        verbose_name_plural = _("posters")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(format__in=["png", "jpeg", "webp"]),
                name="poster_format_is_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.digest}.{self.format}"

    @property
    def content_type(self) -> str:
        return f"image/{self.format}"
