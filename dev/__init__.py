"""Tools that are never shipped: the stack of a developer, demo data, benchmarks, the fault drill, screenshots."""
