"""How lesions are counted: what counts, what overlaps, and the counts of a model over all cases."""
