"""Scenarios. Each is a function of a `Bench` that returns what it found, or raises `ScenarioFailed`."""
