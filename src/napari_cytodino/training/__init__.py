"""Training, evaluation and the recipes behind the shipped checkpoints."""
