"""Work with a lab from the command line."""
