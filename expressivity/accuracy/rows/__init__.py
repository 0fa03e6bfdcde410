"""The rows of the operator attention − convolution, and the largest of them."""
