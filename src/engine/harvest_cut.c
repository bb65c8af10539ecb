/* Cutting documents into sequences and packing sequences into batches. */
#include "base/error.h"
#include "engine/harvest_parts.h"
#include <fathom/chat.h>

static int take_chat(struct fathom__cutter *cutter, const struct fathom_document *document) {
    const struct fathom_model_info *info = fathom_model_describe(cutter->model);
    const int status = fathom_chat_tokenize(&cutter->tokens, &cutter->roles, &cutter->n_tokens, cutter->model,
                                            document->text, document->length);
    /* Every sequence begins with the bos anyway. */
    if (!status && info->adds_bos && cutter->n_tokens > 0 && cutter->tokens[0] == info->bos) cutter->at = 1;
    return status;
}

/* The next document with at least one token becomes the present one. */
static int next_document(struct fathom__cutter *cutter) {
    do {
        struct fathom_document document;
        bool more = false;
        int status = fathom_corpus_next(&document, &more, cutter->corpus);
        if (status != FATHOM_OK) return status;
        if (!more) {
            cutter->ended = true;
            return FATHOM_OK;
        }
        fathom_free(cutter->tokens);
        fathom_free(cutter->roles);
        cutter->tokens = NULL;
        cutter->roles = NULL;
        cutter->n_tokens = cutter->at = 0;
        cutter->document = document.number;
        status = document.chat ? take_chat(cutter, &document)
                               : fathom_tokenize(&cutter->tokens, &cutter->n_tokens, cutter->model, document.text,
                                                 document.length, false, false);
        if (status != FATHOM_OK) return fathom__wrap(status, "document %llu", (unsigned long long)document.number);
    } while (cutter->at == cutter->n_tokens);
    return FATHOM_OK;
}

static void put_row(struct fathom__batch *batch, int32_t token, int32_t position, int32_t sequence, uint64_t document,
                    uint8_t role) {
    batch->roles[batch->n_rows] = role;
    batch->rows[batch->n_rows] = (struct fathom_row){.token = token, .position = position, .sequence = sequence};
    batch->documents[batch->n_rows++] = document;
}

int fathom__cutter_fill(struct fathom__batch *batch, struct fathom__cutter *cutter) {
    const struct fathom_model_info *info = fathom_model_describe(cutter->model);
    const size_t bos = info->adds_bos && info->bos >= 0 ? 1 : 0;
    batch->n_rows = 0;
    batch->first_row = cutter->n_cut;
    for (uint32_t sequence = 0; sequence < FATHOM__HARVEST_SEQUENCES; sequence++) {
        if (cutter->at == cutter->n_tokens && !cutter->ended) {
            const int status = next_document(cutter);
            if (status != FATHOM_OK) return status;
        }
        if (cutter->ended) break;
        const size_t left = cutter->n_tokens - cutter->at;
        const size_t n = left < cutter->context - bos ? left : cutter->context - bos;
        if (batch->n_rows + n + bos > cutter->batch_rows) break;
        int32_t position = 0;
        if (bos) put_row(batch, info->bos, position++, (int32_t)sequence, cutter->document, FATHOM_ROLE_NONE);
        for (size_t i = 0; i < n; i++, cutter->at++)
            put_row(batch, cutter->tokens[cutter->at], position++, (int32_t)sequence, cutter->document,
                    cutter->roles ? cutter->roles[cutter->at] : FATHOM_ROLE_NONE);
    }
    cutter->n_cut += batch->n_rows;
    return FATHOM_OK;
}

void fathom__cutter_close(struct fathom__cutter *cutter) {
    fathom_free(cutter->tokens);
    fathom_free(cutter->roles);
    cutter->tokens = NULL;
    cutter->roles = NULL;
}
