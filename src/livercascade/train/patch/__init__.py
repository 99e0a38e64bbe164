"""Training of UNet^patch: liver boxes, which patches are shown when, how they are made, and validation."""
