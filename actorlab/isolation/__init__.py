"""Run a driver in a process of its own: the lab calls it, kills it when it hangs, and outlives whatever it does."""
