"""Bodies from head to thighs, what lies round them, and livers of every shape."""
