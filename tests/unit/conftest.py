"""Hypothesis tries many inputs, on machines that are busy: how long one takes says nothing here."""

from hypothesis import HealthCheck, settings

settings.register_profile("oncall", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("oncall")
