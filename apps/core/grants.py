"""Set the rights in the database anew after every migration.

Migrations run as the owner of the tables (`OWNER_DATABASE_URL`), everything else as the role that `DATABASE_URL` names. The
triggers of an append-only table refuse UPDATE, DELETE and TRUNCATE to everybody, but an owner can drop a trigger; the role of
web and workers lacks the rights in the first place, owns nothing, and cannot get around a trigger either.
"""

import pgtrigger
from django.db import connection
from psycopg import sql

# Names of triggers, and what their tables lose of SELECT, INSERT, UPDATE, DELETE.
WITHHELD = {"append_only": "UPDATE, DELETE", "deny_delete": "DELETE"}

# pgtrigger lets anybody ignore a trigger who names it in a setting; here only the owner of its functions may. What is looked up
# is qualified, because a temporary table of that name would come before it.
_ONLY_OWNERS_IGNORE = """
    CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name NAME) RETURNS BOOLEAN AS $$
    BEGIN
        IF NOT pg_catalog.pg_has_role(current_user, (
            SELECT proowner FROM pg_catalog.pg_proc
            WHERE oid = 'public._pgtrigger_should_ignore(name)'::pg_catalog.regprocedure
        ), 'MEMBER') THEN
            RETURN FALSE;
        END IF;
        RETURN trigger_name = ANY(
            coalesce(nullif(pg_catalog.current_setting('pgtrigger.ignore', TRUE), ''), '{}')::TEXT[]
        );
    END;
    $$ LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
"""

# The same for the tables that the functions of the triggers name.
_REAL_TABLES_ONLY = """
    DO $$
    DECLARE
        function REGPROCEDURE;
    BEGIN
        FOR function IN SELECT DISTINCT tgfoid::REGPROCEDURE FROM pg_trigger WHERE tgname LIKE 'pgtrigger\\_%'
        LOOP
            EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, public, pg_temp', function);
        END LOOP;
    END
    $$
"""


def guard_triggers() -> None:
    """Leave no way around the triggers to roles that do not own them."""
    with connection.cursor() as cursor:
        cursor.execute(_ONLY_OWNERS_IGNORE)
        cursor.execute(_REAL_TABLES_ONLY)


def grant_rights(*, role: str, password: str) -> None:
    """Make the role if it does not exist yet, and give it its rights on the tables that there are now."""
    owner = connection.settings_dict["USER"]
    if role == owner:
        raise ValueError(f"{role} owns the tables: nothing can be kept from it.")
    statements = [
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
        "REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC",
    ]
    statements += [
        f'REVOKE {WITHHELD[trigger.name]} ON "{model._meta.db_table}" FROM {{role}}'
        for model, trigger in pgtrigger.registered()
        if trigger.name in WITHHELD
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() is None:
            statements.insert(0, "CREATE ROLE {role} LOGIN PASSWORD {password}")
        for statement in statements:
            cursor.execute(
                sql.SQL(statement).format(
                    role=sql.Identifier(role),
                    password=sql.Literal(password),
                    database=sql.Identifier(connection.settings_dict["NAME"]),
                )
            )
