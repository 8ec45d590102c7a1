"""The HTTP API of this app. A view validates, calls one use case and renders."""
