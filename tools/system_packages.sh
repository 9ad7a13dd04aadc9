#!/bin/sh
# Install what the tests need of the system, where we may; name it where we may not: the renderer's
# library, and the browser that opens the pages. Tests that miss theirs skip and say so.
set -u

has_renderer() { ldconfig -p 2>/dev/null | grep -q libOSMesa; }
has_browser() { command -v chromium >/dev/null && command -v chromedriver >/dev/null; }

wanted=""
has_renderer || wanted="libosmesa6"
has_browser || wanted="$wanted chromium chromium-driver"
[ -n "$wanted" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null 2>&1
    for package in $wanted; do  # one by one: a system that lacks one still gets the others
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1
    done
fi
has_renderer || echo "note: rendering tests will skip: sudo apt-get install libosmesa6"
has_browser || echo "note: tests of the pages will skip: sudo apt-get install chromium chromium-driver"
exit 0
