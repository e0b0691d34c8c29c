"""Settings: Hydra's YAML files, and the frozen dataclasses that they become."""
