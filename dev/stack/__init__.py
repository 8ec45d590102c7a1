"""What a developer's machine needs to run Encore: no part of a deployment."""
