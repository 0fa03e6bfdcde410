"""From a proved formula to the package's own function, one module a statement.

Each module has ``check(formulas)``: it turns the formulas of the statement into numbers
and raises ``AssertionError`` where the package computes something else.
"""
