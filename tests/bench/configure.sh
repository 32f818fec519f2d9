#!/bin/bash
# What a configure script does, without its compiler: hundreds of small programs and pipelines.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for n in $(seq "${1:-20}"); do
  printf 'checking for feature %d... ' "$n"
  cat > conftest.h <<E
#define HAVE_FEATURE_$n 1
#define VERSION "$n.0"
E
  version=$(sed -n 's/.*VERSION "\(.*\)"/\1/p' conftest.h)
  if grep -q "HAVE_FEATURE_$n" conftest.h; then found=yes; else found=no; fi
  sum=$(expr "$n" + 1)
  name=$(echo "feature-$n" | tr a-z- A-Z_)
  echo "$found ($name $version $sum)"
  cat conftest.h >> config.h
  rm -f conftest.h
done
sort config.h | uniq | wc -l
