"""Settings, encoders, devices."""
