"""The tests of p2pchat; run with trial."""

from hypothesis import HealthCheck, settings

# How long an example takes says nothing about what is tested, and much about what else the machine does.
settings.register_profile("p2pchat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("p2pchat")
