from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as InvalidPassword
from django.core.validators import EmailValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.accounts.models import User, validate_ascii
from apps.api.fields import StrictCharField, TypedCharField

# Hashing is slow in proportion; no password that is typed is longer.
PASSWORD_MAX_LENGTH = 128


@extend_schema_field({"type": "string", "format": "email", "maxLength": 254})
class EmailAddressField(StrictCharField):
    default_validators = (EmailValidator(), validate_ascii)


class RegistrationSerializer(serializers.Serializer[Any]):
    email = EmailAddressField(max_length=254)
    password = StrictCharField(max_length=PASSWORD_MAX_LENGTH, trim_whitespace=False)
    name = TypedCharField(max_length=100)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        customer = User(email=attrs["email"], name=attrs["name"])
        try:
            validate_password(attrs["password"], user=customer)
        except InvalidPassword as weak:
            raise serializers.ValidationError({"password": weak.messages}) from weak
        return attrs


class LoginSerializer(serializers.Serializer[Any]):
    email = StrictCharField(max_length=254)
    password = StrictCharField(max_length=PASSWORD_MAX_LENGTH, trim_whitespace=False)


class CustomerSerializer(serializers.Serializer[User]):
    user_id = serializers.IntegerField(source="pk")
    email = serializers.EmailField()
    name = serializers.CharField()


class AccessTokenSerializer(serializers.Serializer[Any]):
    access_token = serializers.CharField(source="token")
    token_type = serializers.ChoiceField(choices=["Bearer"], default="Bearer", read_only=True)
    expires_at = serializers.DateTimeField()
    user_id = serializers.IntegerField()
