"""Be a worker process of a lab: run bodies there, one after another, and ask the lab for what they need of it."""
