"""Runs many gates: one worker for each server, one row for each gate, and one report for all of them."""
