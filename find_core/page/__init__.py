"""The live page: watch a camera in a browser, say what to look for, show it in the picture.

A `PageSource` gives frames with what was found in them and takes prompts. `find-core live` and
`python -m find_ros.page` bring one each; everything else is shared. NiceGUI (the extra `[page]`) is
imported in `server` and `view` alone.
"""
