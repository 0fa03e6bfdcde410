"""Every statement that the package relies on, with a derivation that sympy decides.

One file a statement, at this level; ``catalogue`` lists them in reading order. What a
derivation is made of lives in ``engine``, how it is printed in ``document``. Nothing
here imports the package: the tests compare the two.
"""
