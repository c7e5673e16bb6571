"""The line of work: leases, priorities, retries, dead letters, and fairness between scopes."""
