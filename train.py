"""The official training command, word for word. Its flags are translated to this package; see ``cutmix train --help``."""

import sys

from cutmix.cli.official import train_main

if __name__ == "__main__":
    sys.exit(train_main())
