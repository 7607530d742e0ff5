"""Entry point of `./dev`."""

import sys

from toolchain.commands.cli import main

sys.exit(main(sys.argv[1:]))
