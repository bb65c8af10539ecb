/* What Fathom keeps on this machine for its user: fetched models, derived copies, engine builds and the tools of
 * development lie in $XDG_CACHE_HOME/fathom and can be made again; the user's own dictionaries and catalogues, and what
 * runs and jobs recorded, in $XDG_DATA_HOME/fathom and cannot. What was installed with Fathom is not among them. */
#ifndef FATHOM_CACHE_H
#define FATHOM_CACHE_H

#include <fathom/error.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fathom_cache_kind {
    FATHOM_CACHE_MODEL,
    FATHOM_CACHE_COPY, /* a model in another form, or a map of a dictionary's features: made once, for speed */
    FATHOM_CACHE_DICTIONARY,
    FATHOM_CACHE_CATALOGUE,
    FATHOM_CACHE_RECORD, /* the ledger of training runs, and folders of a server's jobs */
    FATHOM_CACHE_ENGINE, /* the engine's source and builds */
    FATHOM_CACHE_TOOLS,  /* the Python environments that development scripts and benchmarks use */
    FATHOM_CACHE_LEFTOVER /* of work that was killed; also marks of what was checked, which cost only time to make again */
};

struct fathom_cache_entry {
    enum fathom_cache_kind kind;
    const char *name; /* unique, such as "models/SmolLM2-135M-Instruct.Q4_1.gguf" */
    const char *path;
    uint64_t bytes; /* of the file, or of all files in the folder */
};

typedef struct fathom_cache fathom_cache;

/* Looks through both folders. Errors: IO (no home folder), MEMORY. */
FATHOM_API int fathom_cache_open(fathom_cache **out);
FATHOM_API void fathom_cache_close(fathom_cache *cache);

/* The entries, by kind and then by name; borrowed. */
FATHOM_API const struct fathom_cache_entry *fathom_cache_entries(size_t *n, const fathom_cache *cache);

/* A stable lower-case word for a kind, such as "dictionary". */
FATHOM_API const char *fathom_cache_kind_name(enum fathom_cache_kind kind);

/* Removes an entry's file or folder. Errors: NOT_FOUND (no entry of this name), IO. */
FATHOM_API int fathom_cache_remove(const fathom_cache *cache, const char *name);

#ifdef __cplusplus
}
#endif
#endif
