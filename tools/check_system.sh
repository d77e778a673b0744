#!/usr/bin/env bash
# Does the system have what pip cannot install? Says exactly what is missing; installs it when it may (root, in CI).
set -euo pipefail
missing=()
if [ "${MUJOCO_GL:-egl}" = egl ] && ! python3 -c 'import ctypes; ctypes.CDLL("libEGL.so.1")' 2>/dev/null; then missing+=(libegl1 libgl1-mesa-dri); fi
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || browser=chromium
if [ -n "${browser:-}" ] && [ -n "${CI:-}" ]; then missing+=(chromium); fi
[ ${#missing[@]} -eq 0 ] && exit 0
if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
  exit 0
fi
echo "This machine lacks system packages that Vantage renders with. Install them and run the same command again:"
echo "  sudo apt-get install ${missing[*]}"
exit 1
