"""How exact is a number? Dtypes, rounding, ball arithmetic and ranks."""
