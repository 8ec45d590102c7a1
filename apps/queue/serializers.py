from rest_framework import serializers

from apps.api.fields import StrictIntegerField
from apps.queue.core.room import EndReason


class JoinSerializer(serializers.Serializer):  # type: ignore[type-arg]
    concert_id = StrictIntegerField()


class QueueTokenSerializer(serializers.Serializer):  # type: ignore[type-arg]
    """The place just taken."""

    token = serializers.CharField()
    concert_id = serializers.IntegerField()
    status = serializers.ChoiceField(["WAITING", "ACTIVE"])
    position = serializers.IntegerField(allow_null=True, min_value=0)
    estimated_wait_seconds = serializers.IntegerField(allow_null=True, min_value=0)
    poll_after_seconds = serializers.IntegerField(min_value=1)
    expires_at = serializers.DateTimeField()


class VisitorStatusSerializer(serializers.Serializer):  # type: ignore[type-arg]
    concert_id = serializers.IntegerField()
    status = serializers.ChoiceField(["WAITING", "ACTIVE", "EXPIRED"])
    position = serializers.IntegerField(allow_null=True, min_value=0)
    estimated_wait_seconds = serializers.IntegerField(allow_null=True, min_value=0)
    poll_after_seconds = serializers.IntegerField(allow_null=True, min_value=1)
    expires_at = serializers.DateTimeField(allow_null=True)
    expired_reason = serializers.ChoiceField(
        [reason.value for reason in EndReason if reason is not EndReason.MERGED], allow_null=True
    )
    token = serializers.CharField()


class BoardSerializer(serializers.Serializer):  # type: ignore[type-arg]
    concert_id = serializers.IntegerField()
    state = serializers.ChoiceField(["SCHEDULED", "OPEN", "PAUSED", "CLOSED"])
    pause_reason = serializers.CharField(
        allow_blank=True, help_text="What the box office says of a pause; empty in any other state."
    )
    opens_at = serializers.DateTimeField()
    waiting = serializers.IntegerField()
    active = serializers.IntegerField()
    capacity = serializers.IntegerField()
    admitted_total = serializers.IntegerField()
    admitted_per_minute = serializers.IntegerField()
    notice_en = serializers.CharField(
        allow_blank=True,
        help_text="What the box office tells those who wait; in Korean if there is no English text. Empty if there is nothing to tell.",
    )
    notice_ko = serializers.CharField(
        allow_blank=True,
        help_text="The same for readers of Korean; in English if there is no Korean text.",
    )
    notice_until = serializers.DateTimeField(
        allow_null=True, help_text="When it ends by itself; null if only the box office ends it."
    )
