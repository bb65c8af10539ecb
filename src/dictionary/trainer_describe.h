#ifndef FATHOM_DICTIONARY_TRAINER_DESCRIBE_H
#define FATHOM_DICTIONARY_TRAINER_DESCRIBE_H

#include <dictionary/trainer_internal.h>
#include <jansson.h>

/* New. Those that mean nothing to the architecture are left out. */
json_t *fathom__trainer_options_json(const struct fathom_trainer_options *options);
int fathom__trainer_options_read(struct fathom_trainer_options *options, const json_t *json, const char *where);

#endif
