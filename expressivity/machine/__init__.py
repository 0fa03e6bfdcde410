"""What does the machine allow? Memory, files, and who follows a computation."""
