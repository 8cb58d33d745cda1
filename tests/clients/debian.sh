#!/usr/bin/env bash
# Unpacks Debian packages of another release into a folder: debian.sh SUITE FOLDER PACKAGE...
#
# Nothing is installed on the machine. The packages are fetched by apt with lists of its own, so that their signatures
# are verified; what they depend on must be named too. Programs among them are made to run with the libraries beside
# them by $TOLLGATE_PATCHELF.
set -euo pipefail

suite=$1 folder=$2
shift 2
[ "$(cat "$folder/.wanted" 2>/dev/null)" = "$suite $*" ] && exit
rm -rf "$folder"
mkdir -p "$folder"/{lists/partial,archives/partial,debs}
folder=$(cd "$folder" && pwd)
# apt drops its rights for a download where its own user may write.
chmod 755 "$folder" "$folder"/*
touch "$folder/status"
mirror=${TOLLGATE_DEBIAN_MIRROR:-http://deb.debian.org/debian}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror $suite main" >"$folder/sources.list"
apt=(apt-get -qq -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$folder/lists" -o "Dir::State::status=$folder/status" -o "Dir::Cache::archives=$folder/archives"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false
    -o Acquire::Languages=none)
"${apt[@]}" update
(cd "$folder/debs" && "${apt[@]}" download "$@")
for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
rm -rf "$folder"/{lists,archives,debs}

# Programs find the libraries beside them, and not those of this machine; what they load later too.
loader=$(find "$folder/root" -name 'ld-linux-*.so.*' | head -n 1)
libraries=$(find "$folder/root" -type d -path "*/$(uname -m)-linux-gnu" | paste -sd :)
find "$folder/root/usr/bin" -type f -executable | while read -r program; do
    "$TOLLGATE_PATCHELF" --print-interpreter "$program" >/dev/null 2>&1 || continue
    "$TOLLGATE_PATCHELF" --set-interpreter "$(readlink -f "$loader")" "$program"
    "$TOLLGATE_PATCHELF" --force-rpath --set-rpath "$libraries" "$program"
done
echo "$suite $*" >"$folder/.wanted"
