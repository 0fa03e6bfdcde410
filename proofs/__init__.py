"""Every statement that the package relies on, with a derivation that sympy decides.

``statements`` holds one file a statement, in folders by subject; ``catalogue`` lists
them in reading order. ``lemmas`` are steps that several derivations take. ``engine``
decides, and ``document`` prints. Nothing here imports the package: the tests compare
the two.
"""
