from django.urls import path

from apps.queue import views

urlpatterns = [
    path("queue/tokens", views.QueueTokensView.as_view(), name="queue_tokens"),
    path("queue/tokens/me", views.OwnQueueTokenView.as_view(), name="own_queue_token"),
    path(
        "queue/concerts/<int64:concert_id>",
        views.WaitingRoomBoardView.as_view(),
        name="waiting_room_status",
    ),
]
