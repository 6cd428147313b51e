from hypothesis import HealthCheck, settings

settings.register_profile(
    "core", max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")
