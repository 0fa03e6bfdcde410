"""What Sphinx is given: pages written by hand, pieces of documents, generated pages."""
