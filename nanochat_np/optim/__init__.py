"""Optimizers, learning-rate schedules and clipping, each one implementation for both devices."""
