#!/usr/bin/env bash
# Installs a Python whose TLS is strict about certificates, with the libraries of the matrix; run by ../setup.sh.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
home=$TOLLGATE_CLIENTS_HOME/python-3.13
"$here/../debian.sh" trixie "$home/debian" python3.13-minimal libpython3.13-minimal libpython3.13-stdlib libc6 libssl3t64 \
    zlib1g libexpat1 libffi8 libsqlite3-0 libbz2-1.0 liblzma5 libuuid1 libzstd1 libgcc-s1

wanted=$*
[ "$(cat "$home/.wanted" 2>/dev/null)" = "$wanted" ] && exit
rm -rf "$home/packages"
# There is no pip for it: that of this machine fetches what it would.
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$home/packages" \
    --python-version 3.13 --implementation cp --only-binary=:all: "$@"
mkdir -p "$home/bin"
cat >"$home/bin/python" <<END
#!/bin/sh
PYTHONPATH=$home/packages\${PYTHONPATH:+:\$PYTHONPATH} exec "$home/debian/root/usr/bin/python3.13" "\$@"
END
chmod +x "$home/bin/python"
echo "$wanted" >"$home/.wanted"
