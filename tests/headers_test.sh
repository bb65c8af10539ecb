#!/bin/sh
# Every public header compiles alone, as pedantic C11 and as C++, and fathom.h has them all.
set -eu
for header in include/fathom/*.h; do
    name=fathom/$(basename "$header")
    printf '#include <%s>\n' "$name" | "${CC:-cc}" -std=c11 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c -
    printf '#include <%s>\n' "$name" | "${CXX:-c++}" -std=c++17 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ -
    [ "$name" = fathom/fathom.h ] || grep -qF "#include <$name>" include/fathom/fathom.h || { echo "fathom.h leaves out $name"; exit 1; }
done
