"""What other families of layers can express, and what none of their settings can."""
