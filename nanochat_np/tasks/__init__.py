"""Conversations to learn from and to be asked: sets generated in code, files of the user's, and mixtures of them."""
