"""Studies: what they report of records."""
