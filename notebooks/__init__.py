"""Seven notebooks and their forms: see README.md.

The sources are ``NN_name.py``; ``python -m notebooks`` makes every form of them.
"""
