"""Hypothesis profiles: the same examples at every run, and `--hypothesis-profile=thorough` for many more."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, max_examples=24, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("repeatable"), max_examples=2000)
settings.load_profile("repeatable")
