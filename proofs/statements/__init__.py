"""The statements, in folders by their subject; one file a statement.

A file has two things: ``FORMULAS``, which the package computes, and ``build``, which
derives the statement from them. The tests also call ``build`` with formulas that they
have edited. Importing a file builds no statement; ``proofs.catalogue`` does, on demand.
"""
