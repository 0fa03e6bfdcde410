"""What attention with quadratic scores computes, and how near to a convolution."""
