#include "base/error.h"
#include "base/memory.h"
#include "detect/probe_internal.h"
#include "detect/texts.h"
#include <stdlib.h>
#include <string.h>

/* From this share of common word pairs on two texts count as nearly the same: two words exchanged among twelve leave
 * 0.53. */
static const double near_overlap = 0.5;

int fathom__probe_remember(fathom_probe *probe, const struct fathom_texts *texts) {
    size_t capacity = 0;
    size_t used = 0;
    int status = fathom__alloc(&probe->wholes, texts->n, sizeof *probe->wholes);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&probe->pair_offsets, texts->n + 1, sizeof *probe->pair_offsets);
    }
    for (size_t t = 0; t < texts->n && status == FATHOM_OK; t++) {
        uint32_t *pairs = NULL;
        uint64_t whole = 0;
        size_t n = 0;
        status = fathom__text_pairs(&pairs, &n, &whole, texts->texts[t]);
        if (status == FATHOM_OK) {
            status = fathom__grow(&probe->pairs, &capacity, used + n, sizeof *probe->pairs);
        }
        if (status == FATHOM_OK) {
            memcpy(probe->pairs + used, pairs, n * sizeof *pairs);
            used += n;
            probe->wholes[t] = (int64_t)whole;
            probe->pair_offsets[t + 1] = (int64_t)used;
        }
        fathom_free(pairs);
    }
    probe->n_texts = texts->n;
    return status;
}

/* Which training texts have a pair: entries sorted by pair. */
struct entry {
    uint32_t pair;
    uint32_t text;
};

static int by_pair(const void *a, const void *b) {
    uint32_t x = ((const struct entry *)a)->pair;
    uint32_t y = ((const struct entry *)b)->pair;
    return x < y ? -1 : x > y;
}

static int build_index(struct entry **out, const fathom_probe *probe) {
    int status = fathom__alloc(out, (size_t)probe->pair_offsets[probe->n_texts], sizeof **out);
    for (size_t t = 0; t < probe->n_texts && status == FATHOM_OK; t++) {
        for (int64_t i = probe->pair_offsets[t]; i < probe->pair_offsets[t + 1]; i++) {
            (*out)[i] = (struct entry){(uint32_t)probe->pairs[i], (uint32_t)t};
        }
    }
    if (status == FATHOM_OK) {
        qsort(*out, (size_t)probe->pair_offsets[probe->n_texts], sizeof **out, by_pair);
    }
    return status;
}

/* First entry whose pair is not smaller. */
static size_t lower_bound(const struct entry *entries, size_t n, uint32_t pair) {
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entries[middle].pair < pair) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The largest overlap with a training text; shared [n_texts] is scratch that is zero before and after. */
static double nearest(size_t *text, const fathom_probe *probe, const struct entry *entries, uint32_t *shared,
                      const uint32_t *pairs, size_t n) {
    size_t n_entries = (size_t)probe->pair_offsets[probe->n_texts];
    double best = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t e = lower_bound(entries, n_entries, pairs[i]); e < n_entries && entries[e].pair == pairs[i]; e++) {
            shared[entries[e].text]++;
        }
    }
    for (size_t t = 0; t < probe->n_texts; t++) {
        size_t all = n + (size_t)(probe->pair_offsets[t + 1] - probe->pair_offsets[t]) - shared[t];
        double overlap = all > 0 ? (double)shared[t] / (double)all : 0;
        if (overlap > best) {
            best = overlap;
            *text = t;
        }
        shared[t] = 0;
    }
    return best;
}

static int by_number(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* seen is sorted; the new value is put in its place. The training texts come first, in one sort, so few moves are
 * needed. */
static bool insert_new(int64_t *seen, size_t *n, int64_t value) {
    if (bsearch(&value, seen, *n, sizeof *seen, by_number) != NULL) {
        return false;
    }
    size_t place = *n;
    while (place > 0 && seen[place - 1] > value) {
        seen[place] = seen[place - 1];
        place--;
    }
    seen[place] = value;
    ++*n;
    return true;
}

int fathom__probe_admit(bool *keep, size_t *n_dropped, const fathom_probe *probe, const struct fathom_texts *texts) {
    struct entry *entries = NULL;
    uint32_t *shared = NULL;
    int64_t *seen = NULL;
    size_t n_seen = probe->n_texts;
    int status = build_index(&entries, probe);
    if (status == FATHOM_OK) {
        status = fathom__alloc(&shared, probe->n_texts, sizeof *shared);
    }
    if (status == FATHOM_OK) {
        status = fathom__alloc(&seen, probe->n_texts + texts->n, sizeof *seen);
    }
    if (status != FATHOM_OK) {
        goto done;
    }
    memcpy(seen, probe->wholes, probe->n_texts * sizeof *seen);
    qsort(seen, n_seen, sizeof *seen, by_number);
    *n_dropped = 0;
    for (size_t t = 0; t < texts->n && status == FATHOM_OK; t++) {
        uint32_t *pairs = NULL;
        uint64_t whole = 0;
        size_t n = 0;
        size_t like = 0;
        status = fathom__text_pairs(&pairs, &n, &whole, texts->texts[t]);
        if (status != FATHOM_OK) {
            break;
        }
        keep[t] = insert_new(seen, &n_seen, (int64_t)whole);
        *n_dropped += !keep[t];
        if (keep[t]) {
            double overlap = nearest(&like, probe, entries, shared, pairs, n);
            if (overlap >= near_overlap) {
                status = fathom__fail(
                    FATHOM_ERROR_MISMATCH,
                    "test text %zu nearly repeats training text %zu: %.0f %% of their word pairs are the same", t + 1,
                    like + 1, 100 * overlap);
            }
        }
        fathom_free(pairs);
    }
done:
    fathom_free(seen);
    fathom_free(shared);
    fathom_free(entries);
    return status;
}
