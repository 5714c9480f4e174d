"""A whole ChatGPT pipeline and a character-model laboratory as array programs, every backward pass by hand.

Importing the package imports neither NumPy, CuPy nor Numba and starts no threads.
"""

__version__ = "0.1.0"
