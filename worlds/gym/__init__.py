"""Any Gymnasium environment of a user's, with functions that say what is true of goals."""
