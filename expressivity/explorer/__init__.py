"""What does it look like when α moves? One page for any layer and image."""
