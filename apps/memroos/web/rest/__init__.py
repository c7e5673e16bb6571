"""REST: JSON in, JSON out, one verb for each route."""
