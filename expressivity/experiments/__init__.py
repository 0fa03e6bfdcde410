"""What does training find? Data, the paper's networks, a loop with a log, and studies."""
