"""What the role of web and workers may do in the database: everything but rewrite what is append-only.

Migrations run as the owner of the tables (`OWNER_DATABASE_URL`), everything else as the role that `DATABASE_URL` names. The
triggers of an append-only table refuse UPDATE, DELETE and TRUNCATE to everybody, but an owner can drop a trigger; this role
lacks the rights in the first place, and owns nothing.
"""

import pgtrigger
from django.db import connection
from psycopg import sql

APPEND_ONLY = "append_only"  # the name of the trigger, too


def grant_rights(*, role: str, password: str) -> None:
    """Make the role if it does not exist yet, and give it its rights on the tables that there are now."""
    owner = connection.settings_dict["USER"]
    append_only = sorted(
        model._meta.db_table
        for model, trigger in pgtrigger.registered()
        if trigger.name == APPEND_ONLY
    )
    statements = [
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "REVOKE UPDATE, DELETE, TRUNCATE ON {append_only} FROM {role}",
    ]
    if role == owner:
        raise ValueError(f"{role} owns the tables: nothing can be kept from it.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() is None:
            statements.insert(0, "CREATE ROLE {role} LOGIN PASSWORD {password}")
        for statement in statements:
            cursor.execute(
                sql.SQL(statement).format(
                    role=sql.Identifier(role),
                    password=sql.Literal(password),
                    append_only=sql.SQL(", ").join(map(sql.Identifier, append_only)),
                )
            )
