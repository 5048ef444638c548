"""Offer the lab on the command line."""
