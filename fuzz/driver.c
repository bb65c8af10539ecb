/* Runs a fuzz target without libFuzzer: on every file of a folder, then on mutations of them that depend on the seed
 * only. An input that makes the program abort is saved, and its path told.
 *
 *   fuzz_NAME FOLDER [RUNS [SEED]]      fuzz_NAME FILE
 */
#include <base/error.h>
#include <base/file.h>
#include <base/memory.h>
#include <base/random.h>
#include <fuzz/target.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_LIMIT = 1 << 20, MOST_CHANGES = 6, DEFAULT_RUNS = 10000 };

struct input {
    char *bytes;
    size_t length;
};

static struct {
    const void *bytes;
    size_t length;
    char path[1024];
} present;

/* A sanitizer or an assertion ends the program by SIGABRT: the input is written before it goes. */
static void save_input(int signal_number) {
    static const char text[] = "fuzz: the input was saved as ";
    int file = open(present.path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file >= 0 && write(file, present.bytes, present.length) == (ssize_t)present.length &&
        write(STDERR_FILENO, text, sizeof text - 1) > 0 &&
        write(STDERR_FILENO, present.path, strlen(present.path)) > 0 && write(STDERR_FILENO, "\n", 1) > 0)
        close(file);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void run(const char *bytes, size_t length) {
    /* An exact copy on the heap, so that a read past the end is seen. */
    uint8_t *copy = malloc(length ? length : 1);
    if (!copy) return;
    if (length) memcpy(copy, bytes, length);
    present.bytes = copy;
    present.length = length;
    LLVMFuzzerTestOneInput(copy, length);
    free(copy);
}

static int load(struct input **inputs, size_t *n, size_t *capacity, const char *path) {
    int status = fathom__grow(inputs, capacity, *n + 1, sizeof **inputs);
    struct input *input = status ? NULL : &(*inputs)[*n];
    if (!status) status = fathom__file_read(&input->bytes, &input->length, path, INPUT_LIMIT);
    if (!status) ++*n;
    return status;
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int load_folder(struct input **inputs, size_t *n, const char *path) {
    char **names = NULL;
    size_t n_names = 0, name_capacity = 0, capacity = 0;
    struct stat about;
    int status = FATHOM_OK;
    if (stat(path, &about)) return fathom__fail_errno(path, "open");
    if (!S_ISDIR(about.st_mode)) return load(inputs, n, &capacity, path);
    DIR *folder = opendir(path);
    if (!folder) return fathom__fail_errno(path, "open");
    for (const struct dirent *entry = readdir(folder); entry && !status; entry = readdir(folder)) {
        if (entry->d_name[0] == '.') continue;
        status = fathom__grow(&names, &name_capacity, n_names + 1, sizeof *names);
        if (!status) status = fathom__path_join(&names[n_names], path, entry->d_name);
        if (!status) n_names++;
    }
    closedir(folder);
    /* The order of a folder's entries differs between machines; the mutations must not. */
    if (n_names > 1) qsort(names, n_names, sizeof *names, compare);
    for (size_t i = 0; i < n_names; i++) {
        if (!status) status = load(inputs, n, &capacity, names[i]);
        fathom_free(names[i]);
    }
    fathom_free(names);
    return status;
}

/* Numbers that lengths, counts and offsets go wrong at. */
static uint64_t awkward_number(struct fathom__random *random) {
    static const uint64_t numbers[] = {
        0,
        1,
        2,
        7,
        8,
        31,
        32,
        127,
        128,
        255,
        256,
        32767,
        65535,
        65536,
        INT32_MAX,
        UINT32_MAX,
        UINT64_C(1) << 32,
        UINT64_C(1) << 61,
        INT64_MAX,
        UINT64_C(1) << 63,
        UINT64_MAX - 7,
        UINT64_MAX,
    };
    return numbers[fathom__random_below(random, sizeof numbers / sizeof *numbers)];
}

/* Changes `bytes`, which has room for INPUT_LIMIT, in one place, and gives the new length. */
static size_t change(char *bytes, size_t length, struct fathom__random *random, const struct input *other) {
    size_t at = (size_t)fathom__random_below(random, length + 1);
    size_t span = (size_t)fathom__random_below(random, 32) + 1;
    uint64_t number = awkward_number(random);
    size_t width = (size_t)1 << fathom__random_below(random, 4);
    switch (fathom__random_below(random, 7)) {
    case 0: /* one bit */
        if (at < length) bytes[at] = (char)(bytes[at] ^ (1 << fathom__random_below(random, 8)));
        return length;
    case 1: /* one byte */
        if (at < length) bytes[at] = (char)fathom__random_next(random);
        return length;
    case 2: /* a number of 1, 2, 4 or 8 bytes */
        if (width <= length - at) memcpy(bytes + at, &number, width);
        return length;
    case 3: /* the end is cut off */ return at;
    case 4: /* a piece is taken out */
        if (span > length - at) span = length - at;
        memmove(bytes + at, bytes + at + span, length - at - span);
        return length - span;
    case 5: /* a piece is doubled */
        if (span > length - at) span = length - at;
        if (length + span > INPUT_LIMIT) return length;
        memmove(bytes + at + span, bytes + at, length - at);
        return length + span;
    default: /* the rest comes from another input */
        if (at > other->length || other->length > INPUT_LIMIT) return length;
        memcpy(bytes + at, other->bytes + at, other->length - at);
        return other->length;
    }
}

static int mutate(const struct input *inputs, size_t n, uint64_t runs, uint64_t seed) {
    struct fathom__random random;
    char *bytes = NULL;
    int status = fathom__alloc(&bytes, INPUT_LIMIT, 1);
    fathom__random_seed(&random, seed);
    for (uint64_t i = 0; i < runs && !status && n > 0; i++) {
        const struct input *input = &inputs[fathom__random_below(&random, n)];
        size_t length = input->length;
        if (length) memcpy(bytes, input->bytes, length);
        for (uint64_t changes = fathom__random_below(&random, MOST_CHANGES) + 1; changes > 0; changes--)
            length = change(bytes, length, &random, &inputs[fathom__random_below(&random, n)]);
        run(bytes, length);
    }
    fathom_free(bytes);
    return status;
}

int main(int argc, char **argv) {
    struct input *inputs = NULL;
    size_t n = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [RUNS [SEED]]\n", argv[0]);
        return EXIT_FAILURE;
    }
    const char *base = getenv("TMPDIR"), *name = strrchr(argv[0], '/');
    snprintf(present.path, sizeof present.path, "%s/crash-%s", base && base[0] ? base : ".", name ? name + 1 : argv[0]);
    signal(SIGABRT, save_input);
    uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : DEFAULT_RUNS;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    int status = load_folder(&inputs, &n, argv[1]);
    for (size_t i = 0; i < n && !status; i++)
        run(inputs[i].bytes, inputs[i].length);
    if (!status && n == 0) status = fathom__fail(FATHOM_ERROR_ARGUMENT, "%s: holds no inputs", argv[1]);
    if (!status) status = mutate(inputs, n, runs, seed);
    for (size_t i = 0; i < n; i++)
        fathom_free(inputs[i].bytes);
    fathom_free(inputs);
    if (status) fprintf(stderr, "fuzz: %s\n", fathom_error_message());
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
