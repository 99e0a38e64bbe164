"""A small phantom for tests of lesions and mimics: a liver in a block of fat, with a vessel, muscle and kidney."""

import numpy as np

from livercascade.virtual.anatomy import Anatomy
from livercascade.virtual.habitus import draw_habitus
from livercascade.virtual.lesions.liver_sites import LiverMap
from livercascade.virtual.phantom import Phantom
from livercascade.virtual.physiology import draw_physiology
from livercascade.virtual.tissue import Tissue, TissueTable
from livercascade.virtual.tissue_map import TissueMap
from livercascade.virtual.virtual_settings import VirtualSettings


def phantom(seed=0, *, cirrhotic=False):
    """A liver of about 1,200 ml on voxels of 2.5 x 3 x 3 mm."""
    z, y, x = (((np.arange(n) - (n - 1) / 2) * d).astype(np.float32) for n, d in ((64, 2.5), (68, 3.0), (76, 3.0)))
    tissue = np.full((64, 68, 76), Tissue.FAT, np.uint8)
    far = (z[:, None, None] / 58) ** 2 + (y[:, None] / 68) ** 2 + (x / 74) ** 2
    tissue[far <= 1] = Tissue.LIVER
    tissue[:, y > 80] = Tissue.MUSCLE
    tissue_map = TissueMap(tissue, z, y, x)
    hilum = np.array([-20.0, 20.0, 15.0])
    for tip in ((10.0, -30.0, -40.0), (-20.0, 10.0, -50.0)):
        tissue_map.tube(np.array([hilum, tip]), np.array([5.0, 3.0]), Tissue.PORTAL_BRANCH, (Tissue.LIVER,))
    tissue_map.tube(
        np.array([[40.0, 40, 10], [0, 10, -30]]), np.array([6.0, 3.0]), Tissue.HEPATIC_VEIN, (Tissue.LIVER,)
    )
    for organ, place in (
        (Tissue.ADRENAL, (-30, 70, -20)),
        (Tissue.RENAL_CORTEX, (-60, 60, -30)),
        (Tissue.IVC, (0, 72, 0)),
    ):
        at = np.stack([place, np.add(place, (1.0, 0.0, 0.0))]).astype(float)
        tissue_map.tube(at, np.array([9.0, 9.0]), organ, (Tissue.FAT,))
    tissue_map.tube(np.array([[0.0, 20, 95], [1, 20, 95]]), np.array([14.0, 14.0]), Tissue.SPLEEN)
    settings, rng = VirtualSettings(), np.random.default_rng(seed)
    habitus = draw_habitus(settings, cirrhotic, rng)
    anatomy = Anatomy(tissue_map, hilum, habitus, "test")
    physiology = draw_physiology(habitus, settings, rng)
    return Phantom(anatomy, LiverMap.of(anatomy), TissueTable(physiology.hu), physiology)
