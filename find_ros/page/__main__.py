import sys

from find_ros.page.main import main

if __name__ == "__main__":
    sys.exit(main())
