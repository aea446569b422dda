"""Raw data sets: rendered or recorded clips, and the preparation of their features."""
