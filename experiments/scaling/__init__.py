"""Millions of bridge goals: kept in files and streamed, shared among processes, or only the nearest of them."""
