"""Data and visitors for trying Encore out: nothing here runs in production."""
