"""The documentation: its sources, and the site that is built of them."""
