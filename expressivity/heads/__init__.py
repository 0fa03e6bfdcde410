"""What does one head attend to? Parameters, scores, smoothing and leak of a head."""
