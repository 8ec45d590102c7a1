from whitenoise.storage import CompressedManifestStaticFilesStorage


class FingerprintedFilesStorage(CompressedManifestStaticFilesStorage):
    """Scripts import each other by fingerprinted names, too: none of them is ever an old one beside new ones."""

    support_js_module_import_aggregation = True
