"""Training of UNet^whole and UNet^patch through nnU-Net."""
