"""The engine: what it proves, what it refutes, and what it leaves open."""
