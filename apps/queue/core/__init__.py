"""The waiting room itself: signed tokens, and a live room in Valkey behind one round trip per operation.

Knows neither Django nor HTTP. Every moment in here is a whole number of microseconds since 1970 by the clock of the
store's server; nothing depends on the clock of the caller.
"""
