"""The document in every format, and the terminal."""
