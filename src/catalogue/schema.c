/* Blobs are written by pack.h:
 *   features.histogram   FATHOM_HISTOGRAM_BINS integers
 *   features.effects     twice (raised, lowered): n, then n × (token, float)
 *   features.neighbours  n, then n × (feature, float)
 *   passages.tokens      one integer a token
 *   examples.activations float (what level 255 stands for), then pairs of bytes: place in the window, level
 */
#include "catalogue/schema.h"

#include <stdio.h>

/* One text a version: migrations[v] brings a file from version v to v + 1. Texts that were released are never edited.
 */
static const char *const migrations[FATHOM__STORE_VERSION] = {
    "CREATE TABLE models ("
    "  id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, name TEXT NOT NULL, architecture TEXT NOT NULL,"
    "  n_layers INTEGER NOT NULL, d_model INTEGER NOT NULL, n_vocab INTEGER NOT NULL);"
    "CREATE TABLE dictionaries ("
    "  id INTEGER PRIMARY KEY, model INTEGER NOT NULL REFERENCES models(id), hash TEXT NOT NULL UNIQUE, name TEXT NOT "
    "NULL,"
    "  hook TEXT NOT NULL, architecture TEXT NOT NULL, n_features INTEGER NOT NULL, corpus TEXT NOT NULL, settings "
    "TEXT NOT NULL,"
    "  n_tokens INTEGER NOT NULL, n_documents INTEGER NOT NULL, has_text INTEGER NOT NULL, made TEXT NOT NULL);"
    "CREATE TABLE features ("
    "  dictionary INTEGER NOT NULL REFERENCES dictionaries(id) ON DELETE CASCADE, number INTEGER NOT NULL,"
    "  count INTEGER NOT NULL, density REAL NOT NULL, mean REAL NOT NULL, maximum REAL NOT NULL,"
    "  histogram_top REAL NOT NULL, histogram BLOB NOT NULL, effects BLOB NOT NULL, neighbours BLOB NOT NULL,"
    "  PRIMARY KEY (dictionary, number)) WITHOUT ROWID;"
    "CREATE TABLE passages ("
    "  id INTEGER PRIMARY KEY, dictionary INTEGER NOT NULL REFERENCES dictionaries(id) ON DELETE CASCADE,"
    "  document INTEGER NOT NULL, position INTEGER NOT NULL, tokens BLOB NOT NULL);"
    "CREATE INDEX passages_dictionary ON passages(dictionary);"
    "CREATE TABLE examples ("
    "  dictionary INTEGER NOT NULL REFERENCES dictionaries(id) ON DELETE CASCADE, feature INTEGER NOT NULL, band "
    "INTEGER NOT NULL,"
    "  rank INTEGER NOT NULL, value REAL NOT NULL, document INTEGER NOT NULL, position INTEGER NOT NULL,"
    "  passage INTEGER, first INTEGER, length INTEGER, peak INTEGER, activations BLOB,"
    "  PRIMARY KEY (dictionary, feature, band, rank)) WITHOUT ROWID;"
    "CREATE TABLE labels ("
    "  dictionary INTEGER NOT NULL REFERENCES dictionaries(id) ON DELETE CASCADE, feature INTEGER NOT NULL, origin "
    "TEXT NOT NULL,"
    "  text TEXT NOT NULL, rule TEXT, score REAL, f1 REAL, precision REAL, recall REAL, prevalence REAL, single_token "
    "REAL,"
    "  shuffled REAL, n_active INTEGER NOT NULL DEFAULT 0, n_inactive INTEGER NOT NULL DEFAULT 0,"
    "  PRIMARY KEY (dictionary, feature, origin)) WITHOUT ROWID;"
    /* The row number is dictionary × 2^32 + feature. */
    "CREATE VIRTUAL TABLE words USING fts5(label, tokens, tokenize = 'unicode61 remove_diacritics 2');",
};

const struct fathom__store_kind fathom__catalogue_kind = {"catalogue", FATHOM__STORE_APPLICATION, FATHOM__STORE_VERSION,
                                                          migrations};

int fathom__schema_migrate(const struct fathom__store *store, int version) {
    char sql[96];
    int status = FATHOM_OK;
    for (int v = version; !status && v < store->kind->version; v++)
        status = fathom__store_run(store, store->kind->migrations[v]);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", store->kind->application,
             store->kind->version);
    return status ? status : fathom__store_run(store, sql);
}
