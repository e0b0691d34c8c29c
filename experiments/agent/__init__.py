"""Protocols on the agent: what measures the figures in results/ and writes RESULTS.md from them."""
