"""Raw numbers of the benchmark, and what writes them into documents."""
