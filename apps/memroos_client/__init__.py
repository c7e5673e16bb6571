"""The typed client for the kernel, sync and async."""
