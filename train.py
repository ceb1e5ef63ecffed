"""The official training command, word for word: its flags are translated to this package."""

import sys

from cutmix.cli.official import train_main

if __name__ == "__main__":
    sys.exit(train_main())
