"""What is measured. Each scenario is a function of a `Bench` that returns what it found, or raises `ScenarioFailed`."""
