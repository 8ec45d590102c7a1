"""Breaks a stack of its own in every way a deployment is afraid of, and compares what customers were told with what is there."""
