"""Speed and memory, each against its physical limit and a plain implementation, in one run."""
