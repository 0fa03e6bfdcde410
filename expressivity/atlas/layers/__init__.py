"""The layers, as the papers define them."""
