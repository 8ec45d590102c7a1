"""Set the rights and time-outs in the database anew after every migration.

Migrations run as the owner of the tables (`OWNER_DATABASE_URL`), everything else as the role that `DATABASE_URL` names. The
triggers of an append-only table refuse UPDATE, DELETE and TRUNCATE to everybody, but an owner can drop a trigger; the role of
web and workers lacks the rights in the first place, owns nothing, and cannot get around a trigger either.

Time-outs belong to that role, not to its connections: a pooler that shares sessions would lose what one of them has set.
"""

import pgtrigger
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import sql

# Names of triggers, and what their tables lose of SELECT, INSERT, UPDATE, DELETE.
WITHHELD = {"append_only": "UPDATE, DELETE", "deny_delete": "DELETE"}

# pgtrigger ignores a trigger for every role that names it in a setting; here only the owner of its functions may. What is looked up
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


def guard_triggers(*, using: str = DEFAULT_DB_ALIAS) -> None:
    """Leave no way around the triggers to roles that do not own them."""
    with connections[using].cursor() as cursor:
        cursor.execute(_ONLY_OWNERS_IGNORE)
        cursor.execute(_REAL_TABLES_ONLY)


def grant_rights(*, role: str, password: str, using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the role if it does not exist yet, and give it its rights on the tables that there are now.

    :raises ValueError: the role is the one that grants.
    """
    connection = connections[using]
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


def set_timeouts(*, role: str, using: str = DEFAULT_DB_ALIAS) -> None:
    """Give each further session of the role in this database the time-outs of `DATABASE_TIMEOUTS`.

    An empty name stands for the role that is connected. What is set already is left alone, so that another role may have done it
    for a role that the owner of the tables must not alter.
    """
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT current_database(), coalesce(nullif(%s, ''), current_user)", [role])
        database, role = cursor.fetchone()
        cursor.execute(
            "SELECT unnest(setconfig) FROM pg_db_role_setting"
            " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = %s)"
            " AND setrole = (SELECT oid FROM pg_roles WHERE rolname = %s)",
            [database, role],
        )
        known = {setting for (setting,) in cursor.fetchall()}
        for name, milliseconds in settings.DATABASE_TIMEOUTS.items():
            if f"{name}={milliseconds}" not in known:
                statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}")
                names = [sql.Identifier(word) for word in (role, database, name)]
                cursor.execute(statement.format(*names, sql.Literal(milliseconds)))
