#!/usr/bin/env bash
# ccache.sh SOURCE_ROOT CCACHE COMPILER ARGUMENT...: calls ccache with every path below the source root made relative to the current
# folder, the build tree. (ccache does this itself, but not to arguments behind -Xclang, where CMake puts precompiled headers.)
root=$1
shift
export CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
up=
for ((folder = 0; folder < 8; ++folder)); do
  [[ $PWD/$up -ef $root ]] && break
  up+=../
done
((folder < 8)) || exec "$@"
arguments=()
for argument in "$@"; do
  if [[ $argument != -D* ]]; then # what a macro says is meant literally
    argument=${argument//$PWD\//}
    argument=${argument/%$PWD/.} # as ninja itself names what it makes, so that it sees the dependencies
    argument=${argument//$PWD/.} # the build tree itself: Ninja knows generated headers by their names in it
    argument=${argument//$root\//$up}
  fi
  arguments+=("$argument")
done
exec "${arguments[@]}"
