"""Data sets that are rendered or prepared here."""
