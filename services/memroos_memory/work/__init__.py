"""What happens to an event after it was taken over: gates, jobs, and the worker that does them."""
