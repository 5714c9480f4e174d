"""Texts to learn from: built-in corpora, files and folders, and their split into training and validation tokens."""
