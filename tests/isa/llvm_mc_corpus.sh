#!/bin/sh
# SPDX-License-Identifier: MIT
#
# llvm_mc_corpus.sh ISA_TEXT [DIR] - compare the decoder with LLVM over LLVM's own assembly tests.
#
# The tests are in the source package of llvm-19 (160 MB to fetch, so this is not part of the default check). DIR is where they
# are, or where to put them: llvm-toolchain-19's source as `apt-get source --download-only` brings it. Source entries are derived from
# the machine's own package sources, in a temporary apt configuration.
set -eu

tool=$1
dir=${2:-$(mktemp -d)}
here=$(dirname "$(realpath "$0")")
mkdir -p "$dir"

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
	apt-get "$@" update
	(cd "$dir" && apt-get "$@" source --download-only llvm-toolchain-19)
	rm -rf "$apt"
	tar -xf "$dir"/llvm-toolchain-19_*.orig.tar.xz -C "$dir" --wildcards '*/llvm/test/MC/AMDGPU/*' \
		'*/llvm/test/MC/Disassembler/AMDGPU/*'
}

[ -n "$(ls -d "$dir"/llvm-toolchain-19_*/llvm/test/MC/AMDGPU 2>/dev/null)" ] || fetch_source
tests=$(ls -d "$dir"/llvm-toolchain-19_*/llvm/test/MC)
status=0
"$here/llvm_diff.py" "$tool" files gfx900 "$tests"/AMDGPU/*.s "$tests"/Disassembler/AMDGPU/gfx9_*.txt || status=1
"$here/llvm_diff.py" "$tool" files gfx90a "$tests"/AMDGPU/*.s "$tests"/Disassembler/AMDGPU/gfx90a*.txt || status=1
exit $status
