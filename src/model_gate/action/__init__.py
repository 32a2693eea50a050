"""The GitHub Action: reads a step's inputs and tells the outcome in outputs, annotations, a summary and the log."""
