"""How do I take it home? Folders with weights, structure, certificates and a card."""
