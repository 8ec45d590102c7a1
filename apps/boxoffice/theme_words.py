"""Name what the theme of the admin says by itself, so that it is translated: it comes in English only. Nothing reads this."""

from django.utils.translation import gettext_noop as _

WORDS = (
    *(
        _("All applications"),
        _("Apply Filters"),
        _("Cancel"),
        _("Dark"),
        _("Filters"),
        _("Go back"),
    ),
    *(_("Light"), _("Loading more results..."), _("More actions"), _("No recent searches")),
    *(_("No results found"), _("No results matching your query"), _("Recent searches")),
    *(_("Reset filters"), _("Run"), _("Select all rows"), _("Submit"), _("System")),
    *(_("Toggle password visibility"), _("Type to search"), _("Choose file to upload")),
)
