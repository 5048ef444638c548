"""Decide: pure state machines that know no thread, clock, randomness or I/O."""
