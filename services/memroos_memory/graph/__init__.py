"""The graph of entities and relations, and the items that prove them."""
