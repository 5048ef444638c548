"""Show a lab in a browser."""
