"""The official test command, word for word: its flags are translated to this package."""

import sys

from cutmix.cli.official import test_main

if __name__ == "__main__":
    sys.exit(test_main())
