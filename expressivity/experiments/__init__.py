"""What does training find? Data, networks, a loop with a log, and studies."""
