#!/bin/sh
# SPDX-License-Identifier: MIT
#
# llvm_mc_corpus.sh ISA_TEXT TARGET - compare the decoder with LLVM over LLVM's own assembly tests.
#
# The tests are in the source package of llvm-19: 160 MB to fetch, of which only the AMDGPU tests are kept in the cache. Source entries are
# derived from the machine's own package sources, in a temporary apt configuration; where they can't be had the test is skipped.
set -eu

tool=$1
target=$2
cache=${HSAVISOR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hsavisor}
dir=$cache/llvm-tests
here=$(dirname "$(realpath "$0")")
mkdir -p "$cache"
exec 9>"$cache/llvm-tests.lock"
flock 9

fetch_source() {
	apt=$(mktemp -d)
	mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache"
	for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
		[ -e "$f" ] && sed -n 's/^deb \(.*debian.*\)/deb-src \1/p' "$f" >>"$apt/parts/src.list"
	done
	for f in /etc/apt/sources.list.d/*.sources; do
		[ -e "$f" ] && sed 's/^Types:.*/Types: deb-src/' "$f" >"$apt/parts/$(basename "$f")"
	done
	set -- -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/parts" -o Dir::State::lists="$apt/lists" \
		-o Dir::Cache="$apt/cache"
	new=$(mktemp -d "$cache/llvm-tests.XXXXXX")
	trap 'rm -rf "$apt" "$new"' EXIT
	chmod 755 "$apt" "$new"
	apt-get -qq "$@" update >"$apt/log" 2>&1 &&
		(cd "$new" && apt-get -qq "$@" source --download-only llvm-toolchain-19) >>"$apt/log" 2>&1 ||
		{ sed 's/^/# /' "$apt/log"; echo "1..0 # SKIP the source package of llvm-19 can't be had"; exit 0; }
	tar -xf "$new"/llvm-toolchain-19_*.orig.tar.xz -C "$new" --wildcards '*/llvm/test/MC/AMDGPU/*' \
		'*/llvm/test/MC/Disassembler/AMDGPU/*'
	rm -f "$new"/llvm-toolchain-19_*.tar.xz "$new"/llvm-toolchain-19_*.dsc
	mv "$new" "$dir"
	rm -rf "$apt"
}

[ -d "$dir" ] || fetch_source
flock -u 9
tests=$(ls -d "$dir"/llvm-toolchain-19_*/llvm/test/MC)
case $target in
gfx900) texts=gfx9_ ;;
*) texts=$target ;;
esac
"$here/llvm_diff.py" "$tool" files "$target" "$tests"/AMDGPU/*.s "$tests"/Disassembler/AMDGPU/"$texts"*.txt
