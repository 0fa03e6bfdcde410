"""The verdicts: weights for what a layer can do, a witness for what it cannot."""
