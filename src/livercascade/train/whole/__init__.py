"""Training of UNet^whole on what nnU-Net prepares: fingerprint, plan, arrays, sampling, and validation.

nnU-Net reads its folders from environment variables, so these modules run only in a process of its own, started by
`livercascade.train.training_process`. Importing them takes seconds.
"""
