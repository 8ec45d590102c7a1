from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserCreationForm

from apps.accounts.models import AccessToken, User
from apps.accounts.services import delete_accounts, end_login_copies_of, revoke_access_tokens
from apps.boxoffice.base.columns import column
from apps.boxoffice.base.deletion import CountedDeletion
from apps.boxoffice.base.entries import ActionWithReason
from apps.boxoffice.base.forms import CarefulForms
from apps.boxoffice.base.lists import BoundedPaginator, FoundByTyping
from apps.boxoffice.base.lookups import Days, Numbers, people_lookup
from apps.boxoffice.base.read_only import ReadOnlyAdmin, note_action
from apps.boxoffice.base.readable import Readable
from apps.boxoffice.base.words import NOTHING, at_venue, everything_of, outcome, person
from apps.boxoffice.roles import ADMINISTRATOR, ROLES
from apps.core.deletion import Deletion

RIGHTS_SHOWN = ("is_active", "duty", "groups", "user_permissions")  # to who may not change them


def gives_rights(request: HttpRequest) -> bool:
    """Tell whether an account may give others their rights: who may change groups could do so in any case."""
    return request.user.has_perm("auth.change_group")


def _is_over(request: HttpRequest, user: User | None) -> bool:
    """Tell whether an account may touch another one: the right to reset a colleague's password includes the colleague's rights."""
    if user is None or request.user.is_superuser:
        return True
    return not user.is_superuser and (not user.is_staff or gives_rights(request))


class UserAddForm(UserCreationForm):
    class Meta:
        model = User
        fields = ("email", "name")


@admin.register(User)
class UserAdmin(CarefulForms, CountedDeletion, FoundByTyping, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg,misc]
    form = forms.ModelForm  # the usual one shows a summary of the hash
    add_form = UserAddForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("address", "name", "is_active", "duty", "joined_at")
    list_filter = ("is_active", "is_staff", "joined_at")
    lookups = (people_lookup("pk"), Numbers(), Days("joined_at"))
    ordering = ("email",)
    readonly_fields = ("address", "joined_at", "last_login", "password_link", "sales_link")
    actions = ("delete_selected",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    *("email", "name", "sales_link", "password_link", "joined_at"),
                    "last_login",
                )
            },
        ),
        (
            _("Rights"),
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),
    )

    @display(description=_("email address"), ordering="email")
    def address(self, user: User) -> str:
        return gettext("walk-up, no account") if user.is_walk_up else user.email

    @display(description=_("staff"), ordering="is_staff")
    def duty(self, user: User) -> str:
        """Say it in words: nothing is wrong about a customer who is not staff."""
        if user.is_superuser:
            return gettext("administrator")
        return gettext("staff") if user.is_staff else NOTHING

    @display(description=_("sales"))
    def sales_link(self, user: User) -> SafeString | str:
        return everything_of(user.pk)

    @display(description=_("password"))
    def password_link(self, user: User) -> SafeString:
        return format_html('<a href="../password/">{}</a>', _("Set a new password"))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and not obj.is_active:
            end_login_copies_of(user_id=obj.pk)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fields
        if gives_rights(request):
            return (*fields, "is_superuser")
        return (*fields, "duty", "groups", "user_permissions")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or (request.user.is_superuser and not obj.is_walk_up):
            return fieldsets
        (nameless, account), (name, rights) = fieldsets
        if obj.is_walk_up:
            return ((nameless, {**account, "fields": ("name", "address", "joined_at")}),)
        if not self.has_change_permission(request, obj):
            shown = [field for field in account["fields"] if field != "password_link"]
            account = {**account, "fields": shown}
        if not gives_rights(request):
            rights = {**rights, "fields": RIGHTS_SHOWN}
        return ((nameless, account), (name, rights))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _is_over(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # No account deletes itself.
        is_allowed = super().has_delete_permission(request, obj) and _is_over(request, obj)
        return is_allowed and obj != request.user

    def delete(self, *, ids: Sequence[int], expected: int) -> Deletion:
        return delete_accounts(ids=ids, expected=expected)


@admin.register(AccessToken)
class AccessTokenAdmin(ReadOnlyAdmin):
    list_display = ("user", "created_at", "expires_at", "revoked_at", "is_live")
    list_filter = ("created_at", "expires_at", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    lookups = (people_lookup("user"), Numbers(), Days("expires_at", label=_("day of expiry")))
    ordering = ("-id",)
    page_select_related = ("user",)
    fields = ("user_link", "is_live", "created_at", "expires_at", "revoked_at")
    actions = ("revoke",)
    action_form = ActionWithReason

    def title_of(self, token: AccessToken) -> str:
        return f"{token.user} · {at_venue(token.created_at)}"

    user_link = column(_("user"), "user", person)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_accesstoken")

    @display(description=_("live"), boolean=True)
    def is_live(self, token: AccessToken) -> bool:
        return token.revoked_at is None and token.expires_at > timezone.now()

    @action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[AccessToken]) -> None:
        live = list(queryset.filter(revoked_at=None).select_related("user"))
        revoked = revoke_access_tokens(access_token_ids=[token.pk for token in live])
        note_action(request, live, gettext("Revoked."))
        words = ngettext("%d access token revoked.", "%d access tokens revoked.", revoked)
        level, text = outcome(
            revoked, words % revoked, _("None of the selected access tokens is live.")
        )
        self.message_user(request, text, level)


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(CarefulForms, CountedDeletion, Readable, DjangoGroupAdmin, ModelAdmin):
    """Groups of staff; those of the roles are only shown, because each release sets them anew."""

    actions = ("delete_selected",)
    paginator = BoundedPaginator
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ("name", *(("of_a_role",) if _is_role(obj) else ()), "permissions")

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ("of_a_role",) if _is_role(obj) else ()

    @display(description=_("role"))
    def of_a_role(self, _group: Group) -> str:
        return gettext("Each release sets its permissions. For other duties add a group.")

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and not _is_role(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not _is_role(obj)


def _is_role(group: Group | None) -> bool:
    return group is not None and group.name in (*ROLES, ADMINISTRATOR)
