"""The Coq development, what Coq said about it, and the table."""
