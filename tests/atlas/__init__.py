"""The atlas: weights for every yes, a witness for every no."""
