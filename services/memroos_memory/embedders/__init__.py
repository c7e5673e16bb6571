"""What makes vectors out of texts."""
