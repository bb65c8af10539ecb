#include "server/page.h"
#include <string.h>

const char fathom__page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                   "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const struct fathom__page_file *fathom__page_find(const char *path) {
    for (size_t i = 0; i < fathom__n_page_files; i++)
        if (strcmp(fathom__page_files[i].path, path) == 0) return &fathom__page_files[i];
    return NULL;
}

const char *fathom__page_cache(const struct fathom__page_file *file) {
    return strcmp(file->path, "/") == 0 ? "no-cache" : "public, max-age=31536000, immutable";
}
