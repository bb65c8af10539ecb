/* The vocabularies of the tiny models. */
#ifndef FATHOM_TESTS_TINY_VOCABULARY_H
#define FATHOM_TESTS_TINY_VOCABULARY_H

#include "base/gguf_file.h"
#include <stdint.h>

/* Puts the tokenizer's keys and tells how many tokens there are. */
int fathom_test_put_bpe(uint32_t *n_vocab, fathom__gguf_writer *writer);
int fathom_test_put_spm(uint32_t *n_vocab, fathom__gguf_writer *writer);

#endif
