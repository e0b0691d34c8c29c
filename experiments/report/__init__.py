"""RESULTS.md, docs/results/ and their pictures, made of results/*.json: `python -m experiments.report`."""
