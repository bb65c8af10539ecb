/* Scores of a dictionary's labels together. */
#include "catalogue/catalogue_internal.h"

#include "base/error.h"

#include <fathom/monosemanticity.h>

int fathom_catalogue_monosemanticity(struct fathom_monosemanticity *out, fathom_catalogue *catalogue) {
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *out =
        (struct fathom_monosemanticity){.n_features = catalogue->info.n_features, .n_alive = catalogue->info.n_alive};
    int status = fathom__store_prepare(
        &statement, &catalogue->store,
        "SELECT count(*), total(max(2 * score - 1, 0)), total(score >= ?2), avg(score), avg(f1), avg(single_token),"
        " avg(shuffled) FROM labels WHERE dictionary = ?1 AND origin = 'offline' AND score IS NOT NULL");
    if (status) return status;
    sqlite3_bind_int64(statement, 1, catalogue->dictionary);
    /* Scores are kept in single precision: 0.8 is below its float. */
    sqlite3_bind_double(statement, 2, FATHOM_MONOSEMANTIC_SCORE);
    status = fathom__store_step(&row, &catalogue->store, statement);
    if (!status && row) {
        const double alive = catalogue->info.n_alive > 0 ? (double)catalogue->info.n_alive : 1;
        out->n_labelled = (uint32_t)sqlite3_column_int64(statement, 0);
        out->score = sqlite3_column_double(statement, 1) / alive;
        out->told = sqlite3_column_double(statement, 2) / alive;
        out->accuracy = sqlite3_column_double(statement, 3);
        out->f1 = sqlite3_column_double(statement, 4);
        out->single_token = sqlite3_column_double(statement, 5);
        out->shuffled = sqlite3_column_double(statement, 6);
    }
    sqlite3_finalize(statement);
    return status;
}
