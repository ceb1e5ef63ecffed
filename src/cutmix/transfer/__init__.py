"""A trained network put to other work: object detection, captions; with the same habits as training."""
