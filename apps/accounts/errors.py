from apps.shared.errors import AccessRefused, Conflict


class EmailTaken(Conflict):
    """There is an account with this address, in whatever case it was written."""

    code = "EMAIL_TAKEN"


class InvalidCredentials(AccessRefused):
    """Unknown address, wrong password or inactive account: the caller is not told which."""

    code = "INVALID_CREDENTIALS"
