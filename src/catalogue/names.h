/* Names that the lexicon lacks: what they are names of, told by the company they keep.
 *
 * A naive Bayes classifier learns from the names that WordNet knows (Babe Ruth is an athlete, Chicago a city) which
 * words stand before, after and around names of persons, places, organisations and structures, and of some kinds of
 * persons and places; then it tells what the other capitalised words of the same corpus are. It sees text alone, never
 * a feature, so a label made of such a class is tested as any other.
 */
#ifndef FATHOM_CATALOGUE_NAMES_H
#define FATHOM_CATALOGUE_NAMES_H

#include "catalogue/stream.h"

/* Gives entries to rows of names that have none, and adds what a name is told to be to entries it has. Call once, when
 * words and entries are set and before anything is counted. */
int fathom__names_infer(struct fathom__stream *stream);

#endif
