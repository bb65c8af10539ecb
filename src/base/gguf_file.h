/* GGUF read with every key and type checked before it is asked for (ggml aborts on misuse), and written. */
#ifndef FATHOM_BASE_GGUF_FILE_H
#define FATHOM_BASE_GGUF_FILE_H

#include "base/file.h"
#include <ggml.h>
#include <gguf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fathom__gguf fathom__gguf;

struct fathom__gguf_tensor {
    const char *name;
    enum ggml_type type;
    int64_t shape[4]; /* ggml's order: shape[0] is the innermost */
    const void *data; /* in the mapped file, aligned as GGUF says */
    size_t bytes;
};

/* Maps the file and checks header, counts, types, offsets and sizes against the file's length by Fathom's own parser
 * before ggml's sees it. Errors: IO, FORMAT (names the file and the key or tensor). */
int fathom__gguf_open(fathom__gguf **out, const char *path);
void fathom__gguf_close(fathom__gguf *file);
const char *fathom__gguf_path(const fathom__gguf *file);

size_t fathom__gguf_tensor_count(const fathom__gguf *file);
const struct fathom__gguf_tensor *fathom__gguf_tensor_at(const fathom__gguf *file, size_t index);
const struct fathom__gguf_tensor *fathom__gguf_tensor_find(const fathom__gguf *file, const char *name); /* NULL: none */
/* 1 to 4: without the sizes of 1 at the end of its shape. */
size_t fathom__gguf_dimensions(const struct fathom__gguf_tensor *tensor);
/* Rows [first, first + n) of a matrix as f32 [n, shape[0]] into out; UNSUPPORTED for types that ggml cannot dequantise.
 */
int fathom__gguf_rows_f32(float *out, const struct fathom__gguf_tensor *tensor, int64_t first, int64_t n);

bool fathom__gguf_has(const fathom__gguf *file, const char *key);
size_t fathom__gguf_key_count(const fathom__gguf *file);
const char *fathom__gguf_key_at(const fathom__gguf *file, size_t index);
/* XXH3-128 over all keys with their types and values, in the file's order. */
int fathom__gguf_hash_keys(char out[33], const fathom__gguf *file);
/* Typed keys: with required false a missing key leaves *out untouched. Any integer type is accepted for integers when
 * the value fits. */
int fathom__gguf_string(const char **out, const fathom__gguf *file, const char *key, bool required);
int fathom__gguf_integer(int64_t *out, const fathom__gguf *file, const char *key, int64_t least, int64_t most,
                         bool required);
int fathom__gguf_number(double *out, const fathom__gguf *file, const char *key, bool required);
int fathom__gguf_bool(bool *out, const fathom__gguf *file, const char *key, bool required);
int fathom__gguf_array_length(size_t *out, const fathom__gguf *file, const char *key, bool required);

/* Arrays (gguf_array.c). A missing key leaves *out untouched where it is not required; a key that is no array is a
 * FORMAT error. */
struct fathom__gguf_array {
    enum gguf_type type; /* of the elements */
    size_t n;
    const unsigned char *data; /* in the mapped file, not aligned */
};
int fathom__gguf_array(struct fathom__gguf_array *out, const fathom__gguf *file, const char *key, bool required);
/* An element of an array of integers or bools; false for other types and for values over INT64_MAX. index < n. */
bool fathom__gguf_array_integer(int64_t *out, const struct fathom__gguf_array *array, size_t index);
/* The string at *cursor (0 first) of an array of strings, which moves on to the next one. Not zero-terminated. To be
 * called at most n times. */
const char *fathom__gguf_array_string(size_t *length, const struct fathom__gguf_array *array, size_t *cursor);
/* The type of a key; GGUF_TYPE_COUNT when there is no such key. */
enum gguf_type fathom__gguf_key_type(const fathom__gguf *file, const char *key);

/* Writing: keys and tensors are collected, then written at once to a temporary name and renamed. Tensor data is
 * borrowed until then. */
typedef struct fathom__gguf_writer fathom__gguf_writer;
int fathom__gguf_writer_open(fathom__gguf_writer **out);
void fathom__gguf_writer_close(fathom__gguf_writer *writer);
int fathom__gguf_put_string(fathom__gguf_writer *writer, const char *key, const char *value);
int fathom__gguf_put_integer(fathom__gguf_writer *writer, const char *key, uint32_t value);
int fathom__gguf_put_number(fathom__gguf_writer *writer, const char *key, float value);
int fathom__gguf_put_bool(fathom__gguf_writer *writer, const char *key, bool value);
/* A number or bool of any of the format's types; *value is of that type. */
int fathom__gguf_put_scalar(fathom__gguf_writer *writer, const char *key, enum gguf_type type, const void *value);
int fathom__gguf_put_array(fathom__gguf_writer *writer, const char *key, enum gguf_type type, const void *data,
                           size_t n);
int fathom__gguf_put_strings(fathom__gguf_writer *writer, const char *key, const char *const *strings, size_t n);
void fathom__gguf_remove(fathom__gguf_writer *writer,
                         const char *key); /* a key that was put; harmless when there is none */
/* Copies every key of a file. */
int fathom__gguf_put_all(fathom__gguf_writer *writer, const fathom__gguf *from);
int fathom__gguf_put_tensor(fathom__gguf_writer *writer, const char *name, enum ggml_type type, const int64_t *shape,
                            size_t n_dimensions, const void *data);
/* A tensor whose bytes are made while the file is written: `make` writes all tensor->bytes of them. */
typedef int (*fathom__gguf_make_fn)(struct fathom__writer *out, const struct fathom__gguf_tensor *tensor,
                                    void *payload);
int fathom__gguf_put_made(fathom__gguf_writer *writer, const char *name, enum ggml_type type, const int64_t *shape,
                          size_t n_dimensions, fathom__gguf_make_fn make, void *payload);
int fathom__gguf_writer_commit(fathom__gguf_writer *writer, const char *path);

#endif
