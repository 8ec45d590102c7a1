from django.urls import path

from apps.payments import views

urlpatterns = [
    path("balance", views.BalanceView.as_view(), name="balance"),
    path("balance/charges", views.ChargesView.as_view(), name="charges"),
    path("balance/transactions", views.TransactionsView.as_view(), name="transactions"),
]
