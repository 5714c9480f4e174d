"""Checkpoints and tokenizers of other programs."""
