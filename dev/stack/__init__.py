"""Stack of a developer's machine: no part of a deployment."""
