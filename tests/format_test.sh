#!/bin/sh
# The sources have the form that .clang-format describes.
exec scripts/format.sh --check
