"""How plans and outcomes are shown: pure functions from values to text."""
