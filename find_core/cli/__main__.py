import sys

from find_core.cli.main import main

sys.exit(main())
