"""Scans of real or virtual patients as canvases: lesions painted and transplanted into them, phases made from VP."""
