"""Figures for staff, each read for all of them together: of one sale, of the whole shop, and of the machines."""
