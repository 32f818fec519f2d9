#!/bin/bash
# install.sh [PREFIX]              puts bin/ipctrace and lib/libipctrace.so under PREFIX (/usr/local)
# install.sh --uninstall [PREFIX]  takes them away
# Builds first. Copies with sudo where PREFIX is not ours to write to.
set -euo pipefail
cd "$(dirname "$0")/.."

uninstall=
if [ "${1:-}" = --uninstall ]; then
  uninstall=1
  shift
fi
case ${1:-} in
  -*) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
prefix=$(realpath -m "${1:-/usr/local}")

as_owner=()
existing=$prefix
while [ ! -e "$existing" ]; do existing=$(dirname "$existing"); done
for folder in "$existing" "$prefix/bin" "$prefix/lib"; do
  if [ -e "$folder" ] && [ ! -w "$folder" ]; then
    if ! command -v sudo >/dev/null; then
      echo "install: $folder is not yours to write to, and there is no sudo" >&2
      exit 1
    fi
    as_owner=(sudo)
  fi
done

# The loader finds libraries by a cache. Only root can renew it, and only folders of ld.so.conf
# count.
renew_cache() {
  if [ "$(id -u)" -eq 0 ]; then
    /sbin/ldconfig
  elif [ ${#as_owner[@]} -gt 0 ]; then
    sudo /sbin/ldconfig
  fi
}

if [ -n "$uninstall" ]; then
  "${as_owner[@]}" rm -f "$prefix/bin/ipctrace" "$prefix/lib/libipctrace.so"
  renew_cache
  echo "Removed ipctrace from $prefix."
  exit 0
fi

tools/setup.sh
bazel build -c opt //:ipctrace //:libipctrace.so >&2
"${as_owner[@]}" install -D -m 755 bazel-bin/analyzer/ipctrace "$prefix/bin/ipctrace"
"${as_owner[@]}" install -D -m 755 bazel-bin/preload/libipctrace.so "$prefix/lib/libipctrace.so"
renew_cache

echo "Installed $prefix/bin/ipctrace and $prefix/lib/libipctrace.so."
if [ "$(LD_PRELOAD=libipctrace.so IPCTRACE_OPTIONS= /bin/true 2>&1 | grep -c 'cannot be preloaded')" -eq 0 ]; then
  echo "Try it: LD_PRELOAD=libipctrace.so ./student_prog"
else
  echo "The loader does not look in $prefix/lib. Name the library in full:"
  echo "  LD_PRELOAD=$prefix/lib/libipctrace.so ./student_prog"
  echo "or, for this shell:  export LD_LIBRARY_PATH=$prefix/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
fi
case :$PATH: in
  *:"$prefix/bin":*) ;;
  *) echo "$prefix/bin is not in your PATH:  export PATH=$prefix/bin:\$PATH" ;;
esac
