"""Handle a driver's object where it lives, in this process or in one of its own: its hooks, its members, its parts."""
