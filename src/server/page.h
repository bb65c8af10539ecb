/* The page at "/": files that the build bundles out of web/ and puts into the library. */
#ifndef FATHOM_SERVER_PAGE_H
#define FATHOM_SERVER_PAGE_H

#include <stddef.h>

struct fathom__page_file {
    const char *path; /* "/" or "/assets/NAME"; a NAME changes with what the file holds */
    const char *type; /* Content-Type */
    const unsigned char *bytes;
    size_t length;
};

/* Generated. Without node and npm it is cmake/page_missing.c, whose only file says that there is no page. */
extern const struct fathom__page_file fathom__page_files[];
extern const size_t fathom__n_page_files;

/* What Content-Security-Policy a page's file is sent with: it loads its own files alone, and nobody frames it. */
extern const char fathom__page_policy[];

/* NULL: there is no such file. */
const struct fathom__page_file *fathom__page_find(const char *path);
/* Cache-Control: "/" is asked for again each time, what it names may be kept for good. */
const char *fathom__page_cache(const struct fathom__page_file *file);

#endif
