#!/usr/bin/env bash
# Puts prometheus and promtool on this machine (Debian, Ubuntu) for the tests of rules and dashboards.
# Does nothing where both are there already, and leaves no service running that it installed.
set -euo pipefail

if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "install-test-tools: prometheus and promtool are missing; install Prometheus 2.42 or newer and start again" >&2
  exit 1
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-test-tools: prometheus is missing; run this script once as root" >&2
    exit 1
  fi
  root=(sudo)
fi

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=180)
if ! "${apt[@]}" install --yes --no-install-recommends prometheus >/dev/null 2>&1; then
  "${apt[@]}" update >/dev/null
  "${apt[@]}" install --yes --no-install-recommends prometheus >/dev/null
fi

if command -v systemctl >/dev/null && systemctl is-active --quiet prometheus 2>/dev/null; then
  "${root[@]}" systemctl disable --now prometheus
fi
promtool --version 2>&1 | head -n 1
