"""Plots and pictures of the paper and those a reviewer would ask for, as SVG and PNG in one style."""
