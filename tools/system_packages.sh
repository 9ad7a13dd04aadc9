#!/bin/sh
# Install the one system library the tests' renderer needs, where we may; name it where we may not.
# Without it the rendering tests skip and say so; nothing else needs it.
set -u
if ldconfig -p 2>/dev/null | grep -q libOSMesa; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null 2>&1
    apt-get install -y -qq libosmesa6 >/dev/null 2>&1 && exit 0
fi
echo "note: libosmesa6 is missing, rendering tests will skip: sudo apt-get install libosmesa6"
exit 0
