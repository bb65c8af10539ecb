#!/bin/sh
# Every public header compiles alone, as pedantic C11 and as C++.
set -eu
for header in include/fathom/*.h; do
    name=fathom/$(basename "$header")
    printf '#include <%s>\n' "$name" | "${CC:-cc}" -std=c11 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c -
    printf '#include <%s>\n' "$name" | "${CXX:-c++}" -std=c++17 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ -
done
