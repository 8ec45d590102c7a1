from django.contrib.auth.hashers import Argon2PasswordHasher as DjangoArgon2PasswordHasher


class Argon2PasswordHasher(DjangoArgon2PasswordHasher):
    """Argon2id with 19 MiB, two passes and one lane, the first choice of OWASP's Password Storage Cheat Sheet.

    Django's defaults take 100 MiB and eight lanes for each hash: a crowd that logs in at once would stop the box office.
    """

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1
