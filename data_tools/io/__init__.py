"""Files, arguments, downloads and progress bars."""
