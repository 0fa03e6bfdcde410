"""How many heads a convolution needs, how large they are, and what more are for."""
