"""The form with which staff give a concert a poster, or take it away."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView
from unfold.widgets import UnfoldAdminFileFieldWidget

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage
from apps.boxoffice.base.read_only import note_action
from apps.concerts.models import Concert, Poster
from apps.concerts.pictures import PictureRefused, read_picture
from apps.concerts.posters import remove_poster, set_poster
from apps.concerts.selectors import poster_image, poster_of


class PictureField(forms.FileField):
    """A picture, read when it is cleaned: its value is a `Picture`."""

    widget = UnfoldAdminFileFieldWidget

    def clean(self, data: Any, initial: Any = None) -> Any:
        file = super().clean(data, initial)
        try:
            return read_picture(file.read())
        except PictureRefused as refusal:
            raise forms.ValidationError(refusal.reason) from refusal


class PosterForm(forms.Form):
    picture = PictureField(
        label=_("Picture"),
        help_text=_(
            "PNG, JPEG or WebP, upright, such as 1000 × 1400 pixels. Its edges are cut where the proportions are others."
        ),
    )


class PosterView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Show the poster of a concert, and take another one; with `?image` return the picture itself."""

    title = _("Poster")
    permission_required = ("concerts.change_concert",)
    template_name = "admin/concerts/poster.html"
    form_class = PosterForm

    @cached_property
    def concert(self) -> Concert:
        return get_object_or_404(Concert, pk=self.kwargs["pk"])

    @cached_property
    def poster(self) -> Poster | None:
        return poster_of(self.concert.pk)

    def about(self) -> Concert:
        return self.concert

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "image" not in request.GET:
            return super().get(request, *args, **kwargs)
        if self.poster is None:
            raise Http404
        return HttpResponse(poster_image(self.poster), content_type=self.poster.content_type)

    def act(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "remove" not in request.POST:
            response: HttpResponse = super().act(request, *args, **kwargs)
            return response
        if remove_poster(concert_id=self.concert.pk):
            self._say_and_note(gettext("Poster removed."))
        return self._back()

    def form_valid(self, form: PosterForm) -> HttpResponse:
        poster = set_poster(concert_id=self.concert.pk, picture=form.cleaned_data["picture"])
        words = gettext("Poster uploaded: %(format)s, %(width)s × %(height)s pixels.")
        self._say_and_note(
            words
            % {
                "format": Poster.Format(poster.format).label,
                "width": poster.width,
                "height": poster.height,
            }
        )
        return self._back()

    def _say_and_note(self, words: str) -> None:
        self.say(messages.SUCCESS, words)
        note_action(self.request, [self.concert], words)

    def _back(self) -> HttpResponse:
        return redirect("admin:concerts_concert_poster", self.concert.pk)
