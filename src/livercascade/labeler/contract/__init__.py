"""The HTTP interface in shapes: what requests may hold, and what answers hold."""
