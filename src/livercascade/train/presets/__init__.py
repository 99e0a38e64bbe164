"""TOML files of the named settings, read by `livercascade.train.training_presets`."""
