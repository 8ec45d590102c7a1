"""How the HTTP API speaks: envelope, errors, validation, limits, OpenAPI. Business code knows nothing of it."""
