import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AccessToken, User, token_digest
from apps.accounts.services import issue_access_tokens
from apps.boxoffice.roles import give_permissions
from tests.boxoffice.sending import send
from tests.factories.accounts import PASSWORD, CustomerFactory, browser_of, clerk_browser

pytestmark = pytest.mark.django_db

USERS = "admin:accounts_user"
TOKENS = "admin:accounts_accesstoken"


@pytest.fixture
def admin() -> User:
    return CustomerFactory(admin=True, email="admin@example.com", password=PASSWORD)


@pytest.fixture
def browser(admin) -> Client:
    return browser_of(admin)


@pytest.fixture
def clerk() -> Client:
    """May look at customers and change them, but is no superuser."""
    return clerk_browser("view_user", "add_user", "change_user", "delete_user")


def added(email: str) -> dict[str, str]:
    passwords = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    return {"email": email, "name": "Mina"} | passwords


def edited(customer: User, **changes: object) -> dict[str, object]:
    return {"email": customer.email, "name": customer.name, "is_active": "on"} | changes


class TestUsers:
    def test_are_found_by_address_and_name(self, browser):
        CustomerFactory(email="mina@example.com", name="Mina")
        CustomerFactory(email="joon@example.com", name="Joon")

        for words in ("mina@", "Mina"):
            found = browser.get(reverse(f"{USERS}_changelist"), {"q": words}).content.decode()
            assert "mina@example.com" in found
            assert "joon@example.com" not in found

    def test_are_added_with_a_password(self, browser):
        send(browser, reverse(f"{USERS}_add"), added("Mina@Example.com"))

        mina = User.objects.get(email="mina@example.com")
        assert mina.check_password(PASSWORD)
        assert not mina.is_staff

    def test_are_not_added_twice(self, browser):
        CustomerFactory(email="mina@example.com")

        response = send(browser, reverse(f"{USERS}_add"), added("MINA@example.com"))

        assert response.status_code == 200
        assert response.context["adminform"].form.errors
        assert User.objects.filter(email="mina@example.com").count() == 1

    def test_are_changed_without_showing_a_hash(self, browser):
        customer = CustomerFactory(password=PASSWORD)
        path = reverse(f"{USERS}_change", args=[customer.pk])

        shown = browser.get(path).content.decode()
        response = send(browser, path, edited(customer, name="Mina Kim"))

        algorithm, salt, digest = str(customer.password).split("$")
        assert salt not in shown
        assert digest not in shown
        assert algorithm not in shown
        assert (
            reverse("admin:auth_user_password_change", args=[customer.pk]).split("/")[-2] in shown
        )
        assert response.status_code == 302
        changed = User.objects.get(pk=customer.pk)
        assert changed.name == "Mina Kim"
        assert changed.password == customer.password

    def test_get_a_new_password_and_lose_their_logins(self, browser):
        customer = CustomerFactory()
        issue_access_tokens(user_ids=[customer.pk, CustomerFactory().pk])
        path = reverse("admin:auth_user_password_change", args=[customer.pk])

        assert browser.get(path).status_code == 200
        browser.post(
            path,
            {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"},
        )

        assert User.objects.get(pk=customer.pk).check_password(PASSWORD)
        [live] = AccessToken.objects.live(at=timezone.now())
        assert live.user != customer

    def test_are_not_deleted_unasked(self, browser):
        customer = CustomerFactory()

        response = browser.post(reverse(f"{USERS}_delete", args=[customer.pk]), {"post": "yes"})

        assert "This cannot be undone." in response.content.decode()
        assert User.objects.filter(pk=customer.pk).exists()

    def test_get_no_rights_from_a_clerk(self, clerk):
        customer = CustomerFactory()
        group = Group.objects.create(name="Ushers")

        response = send(
            clerk,
            reverse(f"{USERS}_change", args=[customer.pk]),
            edited(customer, name="Mina", is_staff="on", is_superuser="on", groups=[str(group.pk)]),
        )

        assert response.status_code == 302
        changed = User.objects.get(pk=customer.pk)
        assert changed.name == "Mina"
        assert (changed.is_staff, changed.is_superuser) == (False, False)
        assert not changed.groups.exists()

    def test_who_are_staff_are_not_changed_by_a_clerk(self, clerk, admin):
        change = reverse(f"{USERS}_change", args=[admin.pk])
        password = reverse("admin:auth_user_password_change", args=[admin.pk])

        assert clerk.post(change, edited(admin, email="me@example.com")).status_code == 403
        assert clerk.get(password).status_code == 403
        assert clerk.post(password, {"password1": "x", "password2": "x"}).status_code == 403
        admin.refresh_from_db()
        assert admin.email == "admin@example.com"
        assert admin.check_password(PASSWORD)


class TestRights:
    """Let who may change groups give rights; the account of a superuser is a superuser's to change."""

    @pytest.fixture
    def administrator(self) -> Client:
        return clerk_browser(
            "view_user", "change_user", "delete_user", "view_group", "change_group"
        )

    def test_are_given_by_who_may_change_groups(self, administrator):
        colleague = CustomerFactory(staff=True)
        group = Group.objects.create(name="Ushers")
        path = reverse(f"{USERS}_change", args=[colleague.pk])

        answer = send(
            administrator,
            path,
            edited(colleague, is_staff="on", is_superuser="on", groups=[str(group.pk)]),
        )

        assert answer.status_code == 302
        colleague.refresh_from_db()
        assert list(colleague.groups.all()) == [group]
        assert not colleague.is_superuser

    def test_of_a_superuser_are_out_of_their_reach(self, administrator, admin):
        pages = {
            "change": reverse(f"{USERS}_change", args=[admin.pk]),
            "delete": reverse(f"{USERS}_delete", args=[admin.pk]),
            "password": reverse("admin:auth_user_password_change", args=[admin.pk]),
        }

        statuses = {name: administrator.post(url, {}).status_code for name, url in pages.items()}

        assert set(statuses.values()) == {403}, statuses
        assert User.objects.filter(pk=admin.pk, is_active=True).exists()

    def test_of_a_role_are_shown_and_not_changed(self, browser):
        give_permissions()
        role = Group.objects.get(name="Finance")
        path = reverse("admin:auth_group_change", args=[role.pk])

        shown = browser.get(path)

        assert "Each release sets its permissions." in shown.content.decode()
        assert browser.post(path, {"name": "Theirs"}).status_code == 403
        assert browser.post(reverse("admin:auth_group_delete", args=[role.pk])).status_code == 403
        assert Group.objects.filter(name="Finance").exists()


class TestLogin:
    def test_takes_the_address_in_any_case(self, admin):
        browser = Client()

        response = browser.post(
            reverse("admin:login"), {"username": "Admin@Example.com", "password": PASSWORD}
        )

        assert response.status_code == 302
        assert browser.get(reverse("admin:index")).status_code == 200

    def test_is_for_staff(self):
        CustomerFactory(email="mina@example.com", password=PASSWORD)
        browser = Client()

        browser.post(reverse("admin:login"), {"username": "mina@example.com", "password": PASSWORD})

        assert browser.get(reverse("admin:index")).status_code == 302


class TestAccessTokens:
    def test_are_listed_without_their_hashes(self, browser, django_assert_max_num_queries):
        issued = issue_access_tokens(user_ids=[CustomerFactory().pk for _ in range(10)])

        with django_assert_max_num_queries(8):
            shown = browser.get(reverse(f"{TOKENS}_changelist")).content.decode()
        token = AccessToken.objects.order_by("pk")[0]
        shown += browser.get(reverse(f"{TOKENS}_change", args=[token.pk])).content.decode()

        assert token.user.email in shown
        assert token_digest(issued[0].token).hex() not in shown
        assert "token_hash" not in shown

    def test_are_revoked(self, browser):
        issue_access_tokens(user_ids=[CustomerFactory().pk for _ in range(2)])
        revoked, kept = AccessToken.objects.order_by("pk")

        browser.post(
            reverse(f"{TOKENS}_changelist"),
            {"action": "revoke", "_selected_action": [str(revoked.pk)]},
        )

        assert list(AccessToken.objects.live(at=timezone.now())) == [kept]

    def test_are_not_edited(self, browser):
        issue_access_tokens(user_ids=[CustomerFactory().pk])
        token = AccessToken.objects.get()

        assert browser.get(reverse(f"{TOKENS}_add")).status_code == 403
        assert browser.post(reverse(f"{TOKENS}_change", args=[token.pk]), {}).status_code == 403
        assert browser.post(reverse(f"{TOKENS}_delete", args=[token.pk])).status_code == 403
