/* Next-token losses and divergences of a model in which something takes some rows' place, against its own. */
#ifndef FATHOM_DICTIONARY_SPLICED_H
#define FATHOM_DICTIONARY_SPLICED_H

#include <fathom/session.h>

enum { FATHOM__SPLICES = 16 /* most kinds of replacement */, FATHOM__NO_SPLICE = -1 };

struct fathom__spliced_sum {
    double change, change_squares, divergence, divergence_squares;
};

struct fathom__spliced {
    fathom_session *session;
    size_t n_vocab, part; /* rows of a decode */
    struct fathom_row *rows;
    int splice; /* the kind now in force, which the session's edits look at; or FATHOM__NO_SPLICE */
    /* the model's own next-token distributions over a sequence: probabilities [context, n_vocab], their negative
     * entropies, and the log probabilities of the tokens that follow */
    float *probabilities;
    double *negative_entropies, *own;
    double plain;
    struct fathom__spliced_sum sums[FATHOM__SPLICES];
    uint64_t tokens; /* of the sequences that were ended */
};

/* The session's context is `context` tokens, the longest sequence. */
int fathom__spliced_open(struct fathom__spliced *out, fathom_session *session, size_t context);
void fathom__spliced_close(struct fathom__spliced *spliced);

/* Runs a sequence: first as the model is (FATHOM__NO_SPLICE), then with each kind in force. */
int fathom__spliced_run(struct fathom__spliced *spliced, int splice, const int32_t *tokens, size_t n);
/* The sequence has been run with every kind. */
void fathom__spliced_end(struct fathom__spliced *spliced, size_t n);

/* Nats a token, over all sequences. */
struct fathom__spliced_losses {
    double delta_loss, delta_standard_error, divergence, divergence_standard_error;
};
struct fathom__spliced_losses fathom__spliced_losses(const struct fathom__spliced *spliced, int splice);

#endif
