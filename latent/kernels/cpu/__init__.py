"""The CPU back end: numba on explicit vectors, one sentence at a time, sentences side by side on threads."""
