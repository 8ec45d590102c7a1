"""Pictures of every page, for the README and for a look at a change: `make screenshots`."""
