"""The paper's synthetic experiments (Sec. 6.1-6.2) on the agent's critics and bridge: `python -m experiments.law`."""
