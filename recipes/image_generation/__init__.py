"""Image generators for codes."""
