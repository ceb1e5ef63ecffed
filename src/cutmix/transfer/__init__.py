"""A trained network put to other work: object detection on its feature maps, with the same habits as training."""
