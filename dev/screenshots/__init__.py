"""Pictures of every page, for the README and for whoever looks at a change: `make screenshots`."""
