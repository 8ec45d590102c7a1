from django.urls import path

from apps.accounts import views

urlpatterns = [
    path("accounts/register", views.RegisterView.as_view(), name="register"),
    path("accounts/login", views.LoginView.as_view(), name="login"),
    path("accounts/logout", views.LogoutView.as_view(), name="logout"),
    path("accounts/me", views.MeView.as_view(), name="me"),
]
