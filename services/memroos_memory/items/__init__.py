"""The truth: scopes, items, their versions, and what can be done to them."""
