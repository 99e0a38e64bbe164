"""From folders to cases: which files belong together, which models they hold, and the lesions of one case."""
