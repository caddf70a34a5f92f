#!/bin/sh
# `make install DESTDIR=x` installs exactly the listed files, and a program builds and runs with the installed .pc alone.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root # not /usr: pkgconf leaves -L/usr/lib out, so a program there would not be found below DESTDIR
make -s install DESTDIR="$root" PREFIX=/opt/bfncl >/dev/null
version=$(sed -n 's/^#define BFNCL_VERSION "\(.*\)"/\1/p' include/bfncl.h)
(cd "$root" && find . ! -type d ! -path './opt/bfncl/share/bfncl/golden/*' | LC_ALL=C sort) >"$work/found"
cat >"$work/wanted" <<LIST
./opt/bfncl/bin/bfncl
./opt/bfncl/include/bfncl.h
./opt/bfncl/lib/libbfncl.a
./opt/bfncl/lib/libbfncl.so
./opt/bfncl/lib/libbfncl.so.0
./opt/bfncl/lib/libbfncl.so.$version
./opt/bfncl/lib/pkgconfig/bfncl.pc
LIST
diff "$work/wanted" "$work/found" || { echo "install: the installed files are not the listed ones" >&2; exit 1; }
ls "$root"/opt/bfncl/share/bfncl/golden/*.safetensors >/dev/null

cat >"$work/user.c" <<'C'
#include <bfncl.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("bfncl %s\n", bfncl_version());
    return strcmp(bfncl_version(), BFNCL_VERSION) != 0;
}
C
export PKG_CONFIG_PATH="$root/opt/bfncl/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
# shellcheck disable=SC2046 # flags are meant to be split
${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -o "$work/user" "$work/user.c" $(pkg-config --cflags --libs bfncl)
LD_LIBRARY_PATH="$root/opt/bfncl/lib" "$work/user"
make -s uninstall DESTDIR="$root" PREFIX=/opt/bfncl >/dev/null
left=$(find "$root/opt/bfncl" ! -type d)
[ -z "$left" ] || { echo "install: uninstall left: $left" >&2; exit 1; }
make -s lib # back to the default folders
echo "install: ok"
