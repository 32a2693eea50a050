"""The GitHub Action: reads a step's inputs; writes outputs, annotations, a summary and the log."""
