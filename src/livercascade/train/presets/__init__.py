"""TOML files of the named settings, read by `livercascade.train.named_settings`."""
