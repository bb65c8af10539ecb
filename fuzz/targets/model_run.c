/* Models, through the engine: whatever is changed in a good file, opening it gives an error, or a model that
 * tokenises, renders a chat and runs.
 *
 * An input is a list of changes. Its first byte chooses one of the reference models; then every five bytes change one
 * place: a key's value, a byte of the file's head, or a weight.
 */
#include <base/error.h>
#include <base/gguf_parts.h>
#include <base/memory.h>
#include <fathom/session.h>
#include <fuzz/target.h>

#define FOLDER "tests/reference/"

enum { CHANGE_BYTES = 5, MOST_CHANGES = 6, MOST_SCALARS = 256, FILE_LIMIT = 1 << 20, CONTEXT = 32 };

static const char *const architectures[] = {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "gpt2", "gptneox", "phi3"};
enum { N_MODELS = sizeof architectures / sizeof architectures[0] };

/* Values at which readers go wrong, as the bytes of whatever number type stands there. */
static const uint64_t values[] = {
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    15,
    16,
    17,
    31,
    33,
    63,
    64,
    65,
    127,
    255,
    256,
    511,
    512,
    513,
    1000,
    65535,
    65536,
    INT32_MAX,
    UINT64_C(1) << 31,
    UINT32_MAX,
    UINT64_C(1) << 32,
    UINT64_C(1) << 62,
    UINT64_C(1) << 63,
    UINT64_MAX,
    0x7FC00000, /* NaN as f32 */
    0x7F800000, /* infinity */
    0xFF800000,
    0x3F800000, /* 1 */
    0xBF800000,
};
enum { N_VALUES = sizeof values / sizeof values[0] };

static struct {
    char *bytes;
    size_t length, head; /* head: what lies before the first tensor's data */
    struct {
        size_t offset, size;
    } scalars[MOST_SCALARS];
    size_t n_scalars;
} models[N_MODELS];

static void load_model(size_t m) {
    char path[256];
    fathom__gguf *file = NULL;
    snprintf(path, sizeof path, FOLDER "%s/model.gguf", architectures[m]);
    if (fathom__file_read(&models[m].bytes, &models[m].length, path, FILE_LIMIT) || fathom__gguf_open(&file, path)) {
        fprintf(stderr, "%s\n", fathom_error_message());
        exit(EXIT_FAILURE);
    }
    models[m].head = models[m].length;
    for (size_t i = 0; i < file->n_tensors; i++) {
        const size_t offset = (size_t)((const unsigned char *)file->tensors[i].data - file->mapping.bytes);
        if (offset < models[m].head) models[m].head = offset;
    }
    for (size_t i = 0; i < file->n_entries && models[m].n_scalars < MOST_SCALARS; i++) {
        const size_t size = fathom__gguf_type_size(file->entries[i].type);
        if (size == 0) continue;
        models[m].scalars[models[m].n_scalars].offset = (size_t)(file->entries[i].bytes - file->mapping.bytes);
        models[m].scalars[models[m].n_scalars++].size = size;
    }
    fathom__gguf_close(file);
}

/* Applies one change to a copy of model m. */
static void change(char *file, size_t m, const uint8_t *edit) {
    const size_t place = (size_t)edit[1] | (size_t)edit[2] << 8 | (size_t)edit[3] << 16;
    const uint64_t value = values[edit[4] % N_VALUES];
    if (edit[0] % 4 < 2) {
        const size_t i = place % models[m].n_scalars;
        memcpy(file + models[m].scalars[i].offset, &value, models[m].scalars[i].size);
    } else if (edit[0] % 4 == 2) {
        file[place % models[m].head] = (char)edit[4];
    } else {
        const size_t weights = (models[m].length - models[m].head) / sizeof(uint32_t);
        memcpy(file + models[m].head + place % weights * sizeof(uint32_t), &value, sizeof(uint32_t));
    }
}

static void use(const fathom_model *model) {
    static const char text[] = "A test, na\xC3\xAFve \xF0\x9F\x8F\x80\n 12";
    const struct fathom_chat_message message = {"user", "Hi"};
    const struct fathom_session_options options = {.n_context = CONTEXT, .n_threads = 1};
    fathom_session *session = NULL;
    int32_t *tokens = NULL;
    char *rendered = NULL;
    size_t n = 0;
    FUZZ_CHECK(fathom_chat_render(&rendered, model, &message, 1, true, NULL));
    fathom_free(rendered);
    int status = fathom_tokenize(&tokens, &n, model, text, sizeof text - 1, true, true);
    FUZZ_CHECK(status);
    if (!status) status = fathom_session_open(&session, model, &options);
    FUZZ_CHECK(status);
    if (!status) FUZZ_CHECK(fathom_session_feed(session, tokens, n < CONTEXT ? n : CONTEXT, 0, 0, true));
    fathom_session_close(session);
    fathom_free(tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) return 0;
    const size_t m = bytes[0] % N_MODELS;
    char *file = NULL;
    fathom_model *model = NULL;
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    if (models[m].bytes == NULL) load_model(m);
    if (fathom__copy_bytes(&file, models[m].bytes, models[m].length)) return 0;
    for (size_t at = 1, n = 0; at + CHANGE_BYTES <= length && n < MOST_CHANGES; at += CHANGE_BYTES, n++)
        change(file, m, bytes + at);
    const int status = fathom_model_open(&model, scratch_file("model.gguf", file, models[m].length), NULL);
    FUZZ_CHECK(status);
    if (!status) use(model);
    fathom_model_close(model);
    fathom_free(file);
    return 0;
}
