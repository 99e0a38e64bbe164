"""Everything of nnU-Net (nnunetv2 2.8.x): fingerprint, plan, preprocessing, folds, networks, loss and trainer.

nnU-Net reads its folders from environment variables, so these modules run only in a process of its own, started by
`livercascade.train.child`. Importing them takes seconds.
"""
