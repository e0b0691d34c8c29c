"""From settings to a trained agent: what a run is made of, what it learns from, what it shows."""
