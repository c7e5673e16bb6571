"""What is measured, one module each: `bench(plan) -> Result`."""
