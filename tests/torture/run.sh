#!/bin/sh
# Everything that is done to a run to make it lose data.
set -eu
cd "$(dirname "$0")/../.."
tests/torture/disk.sh
tests/torture/kill9.sh
