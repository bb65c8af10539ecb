/* The user's own Python package client, asked to download and nothing else. */
#ifndef FATHOM_ENGINE_PACKAGE_CLIENT_H
#define FATHOM_ENGINE_PACKAGE_CLIENT_H

#include <fathom/progress.h>
#include <stdint.h>

/* Downloads packages ("NAME==VERSION", NULL-ended) as wheels into `folder`. `bytes` is what they have in all, for the
 * progress. Errors: IO (no python3, no pip, or what pip said last), STOPPED. */
int fathom__package_download(const char *folder, const char *const *requirements, uint64_t bytes,
                             fathom_progress_fn progress, void *payload);

/* Removes a folder and what is in it. */
void fathom__package_remove_folder(const char *folder);

#endif
