"""Networks of the libraries that people take them from, with random weights.

None of these libraries is a dependency: ``make zoo`` installs them in an environment
of their own.
"""
