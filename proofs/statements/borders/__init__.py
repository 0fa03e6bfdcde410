"""What happens at the borders of the canvas, with zero tokens and without them."""
