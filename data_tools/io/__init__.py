"""Files, downloads, progress."""
