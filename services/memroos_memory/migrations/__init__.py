"""The kernel's one line of migrations, applied at start."""
