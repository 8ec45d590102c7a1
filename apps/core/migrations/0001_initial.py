from django.db import migrations

# PostgreSQL parses the bodies here, not when they run: an index on them means the same whatever the search path is.
FUNCTIONS = [
    """
    CREATE FUNCTION search_fold(typed text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 20
    RETURN regexp_replace(
        translate(
            casefold(normalize(typed, NFKD) COLLATE "pg_unicode_fast"), 'øłđðħŧı', 'olddhti'
        ),
        '[^[:alnum:]]+', '', 'g'
    )
    """,
    """
    CREATE FUNCTION search_grams(VARIADIC typed text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
    BEGIN ATOMIC
        SELECT coalesce(array_agg(DISTINCT substr(folded, start, letters)), '{}')
        FROM unnest(typed) AS one
        CROSS JOIN LATERAL search_fold(one) AS folded
        CROSS JOIN generate_series(1, 3) AS letters
        CROSS JOIN LATERAL generate_series(1, char_length(folded) - letters + 1) AS start;
    END
    """,
]


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunSQL(FUNCTIONS[0], "DROP FUNCTION search_fold(text)"),
        migrations.RunSQL(FUNCTIONS[1], "DROP FUNCTION search_grams(text[])"),
    ]
