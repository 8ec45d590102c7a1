from apps.shared.retention import Retention

ACCESS_TOKENS = Retention(
    name="access_tokens",
    setting="ACCESS_TOKEN_RETENTION",
    old="""
        SELECT old.id FROM accounts_accesstoken old
        WHERE old.expires_at <= %(before)s
        ORDER BY old.expires_at, old.id
    """,
    tables=(("accounts_accesstoken", "id"),),
)
