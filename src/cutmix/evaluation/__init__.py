"""Questions asked of a trained network, one file each: ``from cutmix.evaluation.cam import class_activation_maps``."""
