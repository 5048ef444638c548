"""Act: the lab, its actors and threads."""
