-- The look-ups of a login, which come before all else in every personal call.

-- name: live_login
-- A token that is neither revoked nor expired, of an account that is active, with that account.
SELECT token.id, token.user_id, token.token_hash, token.created_at, token.expires_at, token.revoked_at,
    account.id, account.password, account.last_login, account.is_superuser, account.email, account.name,
    account.is_active, account.is_staff, account.joined_at
FROM accounts_accesstoken token
JOIN accounts_user account ON account.id = token.user_id
WHERE token.token_hash = %(token_hash)s AND token.revoked_at IS NULL AND token.expires_at > %(at)s
    AND account.is_active;

-- name: live_customer
-- The customer whom the same token lets in, and when it expires. Staff are no customers: their calls go the long way, and are refused there.
SELECT token.user_id, extract(epoch FROM token.expires_at)::float8
FROM accounts_accesstoken token
JOIN accounts_user account ON account.id = token.user_id
WHERE token.token_hash = %(token_hash)s AND token.revoked_at IS NULL AND account.is_active
    AND NOT account.is_staff;
