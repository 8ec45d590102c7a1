"""Short dates name the month: 12/09/2026 is read as December here and as September there."""

SHORT_DATE_FORMAT = "j M Y"
SHORT_DATETIME_FORMAT = "j M Y, H:i"
