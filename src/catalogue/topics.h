/* Words of a subject that the lexicon does not know as such: "scored" and "season" in text about sport.
 *
 * WordNet names the subject of few words, and hardly ever of frequent ones. Here its words of a subject (terms of it,
 * athletes, musical instruments) find the sequences that are about it, and words that stand in these far more often than
 * chance allows become words of it too. It sees text alone, of the documents that labels are proposed on, and never a
 * feature, so a label made of such a class is tested as any other.
 */
#ifndef FATHOM_CATALOGUE_TOPICS_H
#define FATHOM_CATALOGUE_TOPICS_H

#include "catalogue/stream.h"

/* Adds the subjects that the corpus speaks for to entries' classes. Call once, when names are told and before anything is
 * counted. */
int fathom__topics_infer(struct fathom__stream *stream);

#endif
