/* The machine: a stack of values, a memo, and marks. Values live in one growing array and refer to each other by their
 * numbers, so that nothing has to be freed one by one and cycles do no harm. */
#include "base/pickle.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include <string.h>

enum {
    LARGEST_DEPTH = 4, /* of dicts within dicts */
    LARGEST_ENTRIES = 1 << 16,
    MOST_VISITS = 1 << 20, /* of items while looking for entries: dicts may share dicts */
    NAME_LIMIT = 1 << 12
};

enum kind { NONE, MARK, INTEGER, NUMBER, TEXT, GLOBAL, TUPLE, LIST, DICT, STORAGE, TENSOR };

enum global { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, STORAGES };

static const struct {
    const char *module, *name;
    enum global global;
    enum fathom__dtype dtype; /* of storages */
} globals[] = {
    {"collections", "OrderedDict", ORDERED_DICT, FATHOM__F32},
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_TENSOR, FATHOM__F32},
    {"torch._utils", "_rebuild_parameter", REBUILD_PARAMETER, FATHOM__F32},
    {"torch", "FloatStorage", STORAGES, FATHOM__F32},
    {"torch", "HalfStorage", STORAGES, FATHOM__F16},
    {"torch", "BFloat16Storage", STORAGES, FATHOM__BF16},
    {"torch", "DoubleStorage", STORAGES, FATHOM__F64},
    {"torch", "IntStorage", STORAGES, FATHOM__I32},
    {"torch", "LongStorage", STORAGES, FATHOM__I64},
    {"torch", "ByteStorage", STORAGES, FATHOM__U8},
    {"torch", "BoolStorage", STORAGES, FATHOM__U8},
};

/* Items of tuples, lists and dicts (key, value, key, …) are numbers of values. */
struct value {
    enum kind kind;
    int64_t integer; /* GLOBAL: its place in `globals` */
    double number;
    char *text;
    uint32_t *items;
    size_t n, capacity;
    struct fathom__pickled_tensor *tensor; /* of STORAGE too: storage, dtype and storage_elements */
};

struct fathom__pickle {
    const char *name;
    const unsigned char *bytes;
    size_t length, at;
    struct value *values;
    size_t n_values, value_capacity;
    uint32_t *stack;
    size_t depth, stack_capacity;
    uint32_t *memo; /* UINT32_MAX: not set */
    size_t n_memo, memo_capacity;
    struct fathom__pickled_entry *entries;
    char **names;
    size_t n_entries, entry_capacity, name_capacity, visits;
};

static int bad(const fathom__pickle *pickle, const char *what) {
    return fathom__fail(FATHOM_ERROR_FORMAT, "%s: byte %zu: %s", pickle->name, pickle->at, what);
}

static int take(const unsigned char **out, fathom__pickle *pickle, size_t n) {
    if (n > pickle->length - pickle->at) return bad(pickle, "the pickle ends too early");
    *out = pickle->bytes + pickle->at;
    pickle->at += n;
    return FATHOM_OK;
}

static uint64_t little_endian(const unsigned char *bytes, size_t n) {
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static int push_number(fathom__pickle *pickle, uint32_t number) {
    int status = fathom__grow(&pickle->stack, &pickle->stack_capacity, pickle->depth + 1, sizeof *pickle->stack);
    if (!status) pickle->stack[pickle->depth++] = number;
    return status;
}

/* A new value on the stack. *out is valid until the next one. */
static int push(struct value **out, fathom__pickle *pickle, enum kind kind) {
    if (pickle->n_values == UINT32_MAX) return bad(pickle, "more values than are read");
    int status = fathom__grow(&pickle->values, &pickle->value_capacity, pickle->n_values + 1, sizeof *pickle->values);
    if (status) return status;
    pickle->values[pickle->n_values] = (struct value){.kind = kind};
    *out = &pickle->values[pickle->n_values];
    return push_number(pickle, (uint32_t)pickle->n_values++);
}

static struct value *at_number(fathom__pickle *pickle, uint32_t number) {
    return &pickle->values[number];
}

static int pop(struct value **out, fathom__pickle *pickle) {
    if (pickle->depth == 0) return bad(pickle, "the stack is empty");
    *out = at_number(pickle, pickle->stack[--pickle->depth]);
    if ((*out)->kind == MARK) return bad(pickle, "a mark where a value was expected");
    return FATHOM_OK;
}

/* The value on top that has to be of this kind. */
static int top(struct value **out, fathom__pickle *pickle, enum kind kind, const char *what) {
    if (pickle->depth == 0) return bad(pickle, "the stack is empty");
    *out = at_number(pickle, pickle->stack[pickle->depth - 1]);
    return (*out)->kind == kind ? FATHOM_OK : bad(pickle, what);
}

static int find_mark(size_t *out, const fathom__pickle *pickle) {
    for (size_t i = pickle->depth; i-- > 0;) {
        if (pickle->values[pickle->stack[i]].kind != MARK) continue;
        *out = i;
        return FATHOM_OK;
    }
    return bad(pickle, "no mark on the stack");
}

static int add_items(struct value *to, const uint32_t *items, size_t n) {
    int status = fathom__grow(&to->items, &to->capacity, to->n + n, sizeof *to->items);
    if (!status && n) memcpy(to->items + to->n, items, n * sizeof *items);
    if (!status) to->n += n;
    return status;
}

/* A tuple of the stack's values from `first` on, which leave it with `dropped` more before them. */
static int push_tuple(fathom__pickle *pickle, size_t first, size_t dropped) {
    struct value tuple = {.kind = TUPLE}, *pushed = NULL;
    int status = add_items(&tuple, pickle->stack + first, pickle->depth - first);
    pickle->depth = first - dropped;
    if (!status) status = push(&pushed, pickle, TUPLE);
    if (status)
        fathom_free(tuple.items);
    else
        *pushed = tuple;
    return status;
}

static int push_short_tuple(fathom__pickle *pickle, size_t n) {
    if (pickle->depth < n) return bad(pickle, "the stack is empty");
    for (size_t i = pickle->depth - n; i < pickle->depth; i++)
        if (at_number(pickle, pickle->stack[i])->kind == MARK) return bad(pickle, "a mark where a value was expected");
    return push_tuple(pickle, pickle->depth - n, 0);
}

static int push_text(fathom__pickle *pickle, size_t length) {
    const unsigned char *bytes = NULL;
    struct value *value = NULL;
    size_t valid = 0;
    int status = take(&bytes, pickle, length);
    if (!status && (memchr(bytes, 0, length) || !fathom__utf8_valid(&valid, (const char *)bytes, length)))
        return bad(pickle, "a text that is not UTF-8 without zeros");
    if (!status) status = push(&value, pickle, TEXT);
    return status ? status : fathom__copy_bytes(&value->text, (const char *)bytes, length);
}

static int push_integer(fathom__pickle *pickle, size_t width, bool is_signed) {
    const unsigned char *bytes = NULL;
    struct value *value = NULL;
    int status = take(&bytes, pickle, width);
    if (!status) status = push(&value, pickle, INTEGER);
    if (status) return status;
    uint64_t bits = little_endian(bytes, width);
    if (is_signed && width > 0 && width < 8 && bytes[width - 1] & 0x80) bits |= UINT64_MAX << 8 * width;
    value->integer = (int64_t)bits;
    return FATHOM_OK;
}

static int push_float(fathom__pickle *pickle) {
    const unsigned char *bytes = NULL;
    struct value *value = NULL;
    uint64_t bits = 0;
    int status = take(&bytes, pickle, 8);
    if (!status) status = push(&value, pickle, NUMBER);
    if (status) return status;
    for (size_t i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i];
    memcpy(&value->number, &bits, sizeof bits);
    return FATHOM_OK;
}

static int push_global(fathom__pickle *pickle, const char *module, size_t module_length, const char *name,
                       size_t name_length) {
    struct value *value = NULL;
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        if (strlen(globals[i].module) != module_length || memcmp(globals[i].module, module, module_length) != 0 ||
            strlen(globals[i].name) != name_length || memcmp(globals[i].name, name, name_length) != 0)
            continue;
        int status = push(&value, pickle, GLOBAL);
        if (!status) value->integer = (int64_t)i;
        return status;
    }
    size_t at;
    const int shown = name_length < 100 ? (int)name_length : 100,
              before = module_length < 100 ? (int)module_length : 100;
    if (!fathom__utf8_valid(&at, module, (size_t)before) || !fathom__utf8_valid(&at, name, (size_t)shown))
        return bad(pickle, "the name of a global is not UTF-8");
    return fathom__fail(
        FATHOM_ERROR_UNSUPPORTED,
        "%s: holds %.*s.%.*s, which unpickling would call; only a dict of tensors, numbers and texts is "
        "read",
        pickle->name, before, module, shown, name);
}

static int read_line(const char **out, size_t *length, fathom__pickle *pickle) {
    const unsigned char *from = pickle->bytes + pickle->at, *end = memchr(from, '\n', pickle->length - pickle->at);
    if (!end) return bad(pickle, "the pickle ends too early");
    *out = (const char *)from;
    *length = (size_t)(end - from);
    pickle->at += *length + 1;
    return FATHOM_OK;
}

static int read_global(fathom__pickle *pickle) {
    const char *module = NULL, *name = NULL;
    size_t module_length = 0, name_length = 0;
    int status = read_line(&module, &module_length, pickle);
    if (!status) status = read_line(&name, &name_length, pickle);
    return status ? status : push_global(pickle, module, module_length, name, name_length);
}

static int stack_global(fathom__pickle *pickle) {
    struct value *name = NULL, *module = NULL;
    int status = pop(&name, pickle);
    if (!status) status = pop(&module, pickle);
    if (!status && (name->kind != TEXT || module->kind != TEXT)) return bad(pickle, "a global's name is no text");
    return status ? status : push_global(pickle, module->text, strlen(module->text), name->text, strlen(name->text));
}

/* ('storage', torch.FloatStorage, key, location, elements) */
static int read_storage(fathom__pickle *pickle) {
    struct value *tuple = NULL, *made = NULL;
    int status = pop(&tuple, pickle);
    if (status) return status;
    if (tuple->kind != TUPLE || tuple->n != 5) return bad(pickle, "a persistent id that is no storage");
    const struct value *word = at_number(pickle, tuple->items[0]), *type = at_number(pickle, tuple->items[1]),
                       *key = at_number(pickle, tuple->items[2]), *elements = at_number(pickle, tuple->items[4]);
    if (word->kind != TEXT || strcmp(word->text, "storage") != 0 || type->kind != GLOBAL ||
        globals[type->integer].global != STORAGES || key->kind != TEXT || elements->kind != INTEGER ||
        elements->integer < 0)
        return bad(pickle, "a persistent id that is no storage");
    struct fathom__pickled_tensor *tensor = NULL;
    status = fathom__alloc(&tensor, 1, sizeof *tensor);
    if (status) return status;
    *tensor = (struct fathom__pickled_tensor){
        .storage = key->text, .dtype = globals[type->integer].dtype, .storage_elements = (size_t)elements->integer};
    status = push(&made, pickle, STORAGE);
    if (status)
        fathom_free(tensor);
    else
        made->tensor = tensor;
    return status;
}

static bool read_sizes(size_t *out, size_t *n, fathom__pickle *pickle, const struct value *tuple) {
    if (tuple->kind != TUPLE || tuple->n > FATHOM__TENSOR_DIMENSIONS) return false;
    for (size_t i = 0; i < tuple->n; i++) {
        const struct value *size = at_number(pickle, tuple->items[i]);
        if (size->kind != INTEGER || size->integer < 0) return false;
        out[i] = (size_t)size->integer;
    }
    *n = tuple->n;
    return true;
}

/* All elements must lie in the storage, and be no more than it has: strides of 0 would make much of little. */
static bool fits(const struct fathom__pickled_tensor *tensor) {
    size_t elements = 1, last = tensor->offset;
    for (size_t i = 0; i < tensor->n_dimensions; i++) {
        if (tensor->shape[i] == 0) return tensor->offset <= tensor->storage_elements;
        if (elements > tensor->storage_elements / tensor->shape[i]) return false;
        elements *= tensor->shape[i];
        const size_t steps = tensor->shape[i] - 1, stride = tensor->strides[i];
        if (steps > 0 && stride > tensor->storage_elements / steps) return false;
        if (last > SIZE_MAX - steps * stride) return false;
        last += steps * stride;
    }
    return last < tensor->storage_elements;
}

/* (storage, offset, sizes, strides, requires_grad, hooks[, metadata]) */
static int rebuild_tensor(fathom__pickle *pickle, const struct value *arguments) {
    struct value *made = NULL;
    size_t n_strides = 0;
    if (arguments->n < 4) return bad(pickle, "a tensor without storage, offset, sizes and strides");
    const struct value *storage = at_number(pickle, arguments->items[0]),
                       *offset = at_number(pickle, arguments->items[1]);
    if (storage->kind != STORAGE || offset->kind != INTEGER || offset->integer < 0)
        return bad(pickle, "a tensor without storage, offset, sizes and strides");
    struct fathom__pickled_tensor tensor = *storage->tensor, *copy = NULL;
    tensor.offset = (size_t)offset->integer;
    if (!read_sizes(tensor.shape, &tensor.n_dimensions, pickle, at_number(pickle, arguments->items[2])) ||
        !read_sizes(tensor.strides, &n_strides, pickle, at_number(pickle, arguments->items[3])) ||
        n_strides != tensor.n_dimensions || !fits(&tensor))
        return bad(pickle, "a tensor whose sizes and strides do not fit its storage");
    int status = fathom__alloc(&copy, 1, sizeof *copy);
    if (status) return status;
    *copy = tensor;
    status = push(&made, pickle, TENSOR);
    if (status)
        fathom_free(copy);
    else
        made->tensor = copy;
    return status;
}

static int reduce(fathom__pickle *pickle) {
    struct value *arguments = NULL, *function = NULL, *made = NULL;
    int status = pop(&arguments, pickle);
    if (!status) status = pop(&function, pickle);
    if (status) return status;
    if (function->kind != GLOBAL || arguments->kind != TUPLE)
        return bad(pickle, "a call of something that is no global");
    switch (globals[function->integer].global) {
    case ORDERED_DICT:
        return arguments->n ? bad(pickle, "an OrderedDict made of something") : push(&made, pickle, DICT);
    case REBUILD_TENSOR: return rebuild_tensor(pickle, arguments);
    case REBUILD_PARAMETER:
        if (arguments->n < 1 || at_number(pickle, arguments->items[0])->kind != TENSOR)
            return bad(pickle, "a parameter that is no tensor");
        return push_number(pickle, arguments->items[0]);
    default: return bad(pickle, "a call of a storage type");
    }
}

/* The pairs from `first` on go into the dict below; a mark may lie between. */
static int set_items(fathom__pickle *pickle, size_t first, size_t marks) {
    const size_t n = pickle->depth - first, below = first - marks;
    struct value *dict = NULL;
    const uint32_t *items = pickle->stack + first;
    if (n % 2 != 0) return bad(pickle, "a key without a value");
    for (size_t i = 0; i < n; i++)
        if (at_number(pickle, items[i])->kind == MARK) return bad(pickle, "a mark where a value was expected");
    pickle->depth = below;
    int status = top(&dict, pickle, DICT, "entries for something that is no dict");
    return status ? status : add_items(dict, items, n);
}

static int append(fathom__pickle *pickle, size_t first, size_t marks) {
    const size_t n = pickle->depth - first;
    const uint32_t *items = pickle->stack + first;
    struct value *list = NULL;
    pickle->depth = first - marks;
    int status = top(&list, pickle, LIST, "elements for something that is no list");
    return status ? status : add_items(list, items, n);
}

static int remember(fathom__pickle *pickle, size_t slot) {
    if (pickle->depth == 0 || at_number(pickle, pickle->stack[pickle->depth - 1])->kind == MARK)
        return bad(pickle, "nothing to remember");
    if (slot > pickle->length) return bad(pickle, "a memo slot beyond what a pickle of this length fills");
    const size_t before = pickle->memo_capacity;
    int status = fathom__grow(&pickle->memo, &pickle->memo_capacity, slot + 1, sizeof *pickle->memo);
    if (status) return status;
    for (size_t i = before; i < pickle->memo_capacity; i++)
        pickle->memo[i] = UINT32_MAX;
    pickle->memo[slot] = pickle->stack[pickle->depth - 1];
    if (slot + 1 > pickle->n_memo) pickle->n_memo = slot + 1;
    return FATHOM_OK;
}

static int recall(fathom__pickle *pickle, size_t slot) {
    if (slot >= pickle->n_memo || pickle->memo[slot] == UINT32_MAX) return bad(pickle, "nothing is remembered there");
    return push_number(pickle, pickle->memo[slot]);
}

/* With a length or a slot of `width` bytes after the opcode. */
static int read_size(size_t *out, fathom__pickle *pickle, size_t width) {
    const unsigned char *bytes = NULL;
    int status = take(&bytes, pickle, width);
    if (!status) *out = (size_t)little_endian(bytes, width);
    return status;
}

/* Opcodes followed by a size. */
static int sized(bool *known, fathom__pickle *pickle, unsigned char opcode) {
    static const struct {
        unsigned char opcode, width;
    } widths[] = {{'X', 4}, {0x8c, 1}, {0x8d, 8}, {'q', 1},  {'r', 4},
                  {'h', 1}, {'j', 4},  {0x8a, 1}, {0x95, 8}, {0x80, 1}};
    size_t size = 0, i = 0;
    while (i < sizeof widths / sizeof *widths && widths[i].opcode != opcode)
        i++;
    *known = i < sizeof widths / sizeof *widths;
    if (!*known) return FATHOM_OK;
    int status = read_size(&size, pickle, widths[i].width);
    if (status) return status;
    switch (opcode) {
    case 'q':
    case 'r': return remember(pickle, size);
    case 'h':
    case 'j': return recall(pickle, size);
    case 0x8a: return size > 8 ? bad(pickle, "an integer of more than 64 bits") : push_integer(pickle, size, true);
    case 0x95: return FATHOM_OK; /* how much the next frame holds */
    case 0x80: return size >= 2 && size <= 5 ? FATHOM_OK : bad(pickle, "a protocol other than 2 to 5");
    default: return push_text(pickle, size);
    }
}

/* Opcodes that work on the stack alone, or on what follows at a fixed width. */
static int plain(fathom__pickle *pickle, unsigned char opcode) {
    struct value *value = NULL;
    size_t mark = 0;
    int status = FATHOM_OK;
    switch (opcode) {
    case '(': return push(&value, pickle, MARK);
    case '}': return push(&value, pickle, DICT);
    case ']': return push(&value, pickle, LIST);
    case ')': return push(&value, pickle, TUPLE);
    case 'N': return push(&value, pickle, NONE);
    case 0x88:
    case 0x89:
        status = push(&value, pickle, INTEGER);
        if (!status) value->integer = opcode == 0x88;
        return status;
    case 'J': return push_integer(pickle, 4, true);
    case 'K': return push_integer(pickle, 1, false);
    case 'M': return push_integer(pickle, 2, false);
    case 'G': return push_float(pickle);
    case 'c': return read_global(pickle);
    case 0x93: return stack_global(pickle);
    case 0x85:
    case 0x86:
    case 0x87: return push_short_tuple(pickle, (size_t)opcode - 0x84);
    case 0x94: return remember(pickle, pickle->n_memo);
    case 'Q': return read_storage(pickle);
    case 'R': return reduce(pickle);
    case 'b': /* what an OrderedDict carries besides its entries says nothing about them */
        status = pop(&value, pickle);
        return status ? status : top(&value, pickle, DICT, "a state for something that is no dict");
    case 's': return pickle->depth < 3 ? bad(pickle, "the stack is empty") : set_items(pickle, pickle->depth - 2, 0);
    case 'a': return pickle->depth < 2 ? bad(pickle, "the stack is empty") : append(pickle, pickle->depth - 1, 0);
    case 't':
    case 'u':
    case 'e': break;
    default:
        return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: byte %zu: opcode 0x%02x, which torch.save does not emit",
                            pickle->name, pickle->at - 1, opcode);
    }
    status = find_mark(&mark, pickle);
    if (status) return status;
    if (opcode == 't') return push_tuple(pickle, mark + 1, 1);
    return opcode == 'u' ? set_items(pickle, mark + 1, 1) : append(pickle, mark + 1, 1);
}

static int run(fathom__pickle *pickle) {
    for (;;) {
        const unsigned char *opcode = NULL;
        bool known = false;
        int status = take(&opcode, pickle, 1);
        if (status) return status;
        if (*opcode == '.') return FATHOM_OK;
        status = sized(&known, pickle, *opcode);
        if (!status && !known) status = plain(pickle, *opcode);
        if (status) return status;
    }
}

static int add_entry(fathom__pickle *pickle, const char *outer, const char *key, const struct value *value) {
    struct fathom__buffer name = FATHOM__BUFFER_INIT(NAME_LIMIT);
    if (pickle->n_entries == LARGEST_ENTRIES) return bad(pickle, "more entries than are read");
    int status =
        fathom__grow(&pickle->entries, &pickle->entry_capacity, pickle->n_entries + 1, sizeof *pickle->entries);
    if (!status)
        status = fathom__grow(&pickle->names, &pickle->name_capacity, pickle->n_entries + 1, sizeof *pickle->names);
    if (!status) status = fathom__buffer_format(&name, "%s%s", outer, key);
    char *text = NULL;
    if (!status) status = fathom__buffer_take(&text, &name);
    fathom__buffer_free(&name);
    if (status) return status;
    pickle->names[pickle->n_entries] = text;
    struct fathom__pickled_entry *entry = &pickle->entries[pickle->n_entries++];
    *entry = (struct fathom__pickled_entry){
        .name = text, .integer = value->integer, .number = value->number, .text = value->text};
    entry->kind = value->kind == INTEGER  ? FATHOM__PICKLED_INTEGER
                  : value->kind == NUMBER ? FATHOM__PICKLED_NUMBER
                  : value->kind == TEXT   ? FATHOM__PICKLED_TEXT
                                          : FATHOM__PICKLED_TENSOR;
    if (value->kind == TENSOR) entry->tensor = *value->tensor;
    return FATHOM_OK;
}

static int flatten(fathom__pickle *pickle, const struct value *dict, const char *outer, int depth) {
    int status = FATHOM_OK;
    if (depth > LARGEST_DEPTH) return bad(pickle, "dicts within dicts deeper than are read");
    for (size_t i = 0; i + 1 < dict->n && !status; i += 2) {
        const struct value *key = at_number(pickle, dict->items[i]), *value = at_number(pickle, dict->items[i + 1]);
        if (pickle->visits++ == MOST_VISITS) return bad(pickle, "more entries than are read");
        if (key->kind != TEXT) continue;
        if (value->kind == DICT) {
            char *inner = NULL;
            if (strlen(outer) + strlen(key->text) >= NAME_LIMIT) return bad(pickle, "a name longer than are read");
            status = fathom__format(&inner, "%s%s.", outer, key->text);
            if (!status) status = flatten(pickle, value, inner, depth + 1);
            fathom_free(inner);
        } else if (value->kind == INTEGER || value->kind == NUMBER || value->kind == TEXT || value->kind == TENSOR) {
            status = add_entry(pickle, outer, key->text, value);
        }
    }
    return status;
}

int fathom__pickle_read(fathom__pickle **out, const unsigned char *bytes, size_t length, const char *name) {
    fathom__pickle *pickle = NULL;
    struct value *whole = NULL;
    int status = fathom__alloc(&pickle, 1, sizeof *pickle);
    if (status) return status;
    *pickle = (fathom__pickle){.name = name, .bytes = bytes, .length = length};
    status = run(pickle);
    if (!status) status = top(&whole, pickle, DICT, "its value is no dict");
    if (!status) status = flatten(pickle, whole, "", 1);
    if (status)
        fathom__pickle_close(pickle);
    else
        *out = pickle;
    return status;
}

void fathom__pickle_close(fathom__pickle *pickle) {
    if (!pickle) return;
    for (size_t i = 0; i < pickle->n_values; i++) {
        fathom_free(pickle->values[i].text);
        fathom_free(pickle->values[i].items);
        fathom_free(pickle->values[i].tensor);
    }
    for (size_t i = 0; i < pickle->n_entries; i++)
        fathom_free(pickle->names[i]);
    fathom_free(pickle->values);
    fathom_free(pickle->stack);
    fathom_free(pickle->memo);
    fathom_free(pickle->names);
    fathom_free(pickle->entries);
    fathom_free(pickle);
}

size_t fathom__pickle_count(const fathom__pickle *pickle) {
    return pickle->n_entries;
}

const struct fathom__pickled_entry *fathom__pickle_at(const fathom__pickle *pickle, size_t index) {
    return &pickle->entries[index];
}
