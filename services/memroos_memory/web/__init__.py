"""The service's door, for the kernel alone."""
