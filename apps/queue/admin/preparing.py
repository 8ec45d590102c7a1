"""The page that gives a concert its waiting room before the first visitor comes, so that its policy can be set."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.views.generic import FormView

from apps.boxoffice.base.forms import ActsOnce
from apps.boxoffice.base.pages import StaffPage
from apps.concerts.models import Concert
from apps.core.history import note
from apps.queue.services import get_or_create_waiting_room


class PrepareView(ActsOnce, StaffPage, FormView):  # type: ignore[type-arg]
    """Asks before it makes the room, with the default policy; one that is there already is shown."""

    permission_required = ("queue.change_waitingroom",)
    template_name = "admin/queue/prepare.html"
    form_class = forms.Form

    @cached_property
    def concert(self) -> Concert:
        return get_object_or_404(Concert, pk=self.kwargs["concert_id"])

    @property
    def title(self) -> str:
        return f"{gettext('Add the waiting room')} · {self.concert}"

    def about(self) -> Concert:
        return self.concert

    def form_valid(self, form: Any) -> HttpResponse:
        assert self.request.user.pk is not None
        is_new = not hasattr(self.concert, "waiting_room")
        room = get_or_create_waiting_room(self.concert.pk)
        if is_new:
            words = gettext("Added the waiting room, with the usual policy.")
            note([room], words, staff_id=self.request.user.pk)
            self.say(
                messages.SUCCESS, gettext("The concert has a waiting room now. Set its policy.")
            )
        return redirect("admin:queue_waitingroom_change", room.pk)
