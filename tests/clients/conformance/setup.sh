#!/usr/bin/env bash
# Installs the Autobahn test suite, which speaks Python 2, with a Python of its own; run by ../setup.sh.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
home=$TOLLGATE_CLIENTS_HOME/conformance
"$here/../debian.sh" bullseye "$home/debian" python2.7-minimal libpython2.7-minimal libpython2.7-stdlib libc6 libssl1.1 \
    zlib1g libffi7 libexpat1 libgcc-s1

wanted='autobahntestsuite==25.10.1 autobahn==0.10.9 Twisted==19.10.0 zope.interface==4.6.0 txaio==2.1.0
incremental==16.10.1 pyOpenSSL==19.1.0 cryptography==3.3.2 service_identity==18.1.0 klein==17.10.0 Werkzeug==1.0.1
jinja2==2.11.3 markupsafe==1.1.1 unittest2==1.1.0 six==1.16.0 setuptools==44.1.1'
[ "$(cat "$home/.wanted" 2>/dev/null)" = "$wanted" ] && exit
rm -rf "$home/packages" "$home/pip"
python=$home/debian/root/usr/bin/python2.7
# The last pip that speaks Python 2.
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$home/pip" \
    'pip==20.3.4'
# What stands first is installed without the accelerators that it asks for: they would need a compiler for Python 2.
read -r suite rest <<<"$(tr '\n' ' ' <<<"$wanted")"
install() { PYTHONPATH=$home/pip:$home/packages PYTHONWARNINGS=ignore "$python" -m pip install --quiet \
    --disable-pip-version-check --no-python-version-warning --no-warn-script-location --prefer-binary --target "$home/packages" "$@"; }
install setuptools==44.1.1
# shellcheck disable=SC2086
install --upgrade $rest
install --upgrade --no-deps "$suite"
# A folder that is no package where `.pth` files are not read.
touch "$home/packages/zope/__init__.py"
echo "$wanted" >"$home/.wanted"
