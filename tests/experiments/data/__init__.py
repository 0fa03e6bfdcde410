"""Data that are read, and data that are drawn."""
