from django.urls import path

from apps.concerts import views

urlpatterns = [
    path("concerts", views.ConcertsView.as_view(), name="concerts"),
    path("concerts/popular", views.PopularConcertsView.as_view(), name="popular-concerts"),
    path("concerts/fastest-sold-out", views.FastestSoldOutView.as_view(), name="fastest-sold-out"),
    path("concerts/<int64:concert_id>", views.ConcertView.as_view(), name="concert"),
]
