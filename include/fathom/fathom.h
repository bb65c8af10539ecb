/* libfathom: a language model's inside, visible and steerable.
 *
 *   error.h       statuses and messages           progress.h    long work: progress and stopping
 *   model.h       GGUF models, tokens, chat       hook.h        hook points by TransformerLens name
 *   session.h     running, taps, edits, sampling  corpus.h      documents out of files
 *   harvest.h     a corpus as activations         dictionary.h  sparse features
 *   trainer.h     training dictionaries           write.h       a corpus that the model writes
 *   evaluate.h    what a dictionary is worth      shuffle.h     models that learned nothing
 *   catalogue.h   what the features mean          detect.h      monitors and probes
 *   steer.h       steering and its search         cache.h       what is kept on this machine
 *   formats.h     dictionaries of other trainers  drift.h       what quantising moves
 *   sparse_probe.h  labels in a few features      absorption.h  first letters that features miss
 *   monosemanticity.h  how many features one label tells
 *   server.h      a model over HTTP
 *   crosscoder.h  whose a crosscoder's features are
 *   layers.h      what a cross-layer transcoder explains at each layer
 */
#ifndef FATHOM_H
#define FATHOM_H

#include <fathom/absorption.h>
#include <fathom/cache.h>
#include <fathom/catalogue.h>
#include <fathom/corpus.h>
#include <fathom/crosscoder.h>
#include <fathom/detect.h>
#include <fathom/dictionary.h>
#include <fathom/drift.h>
#include <fathom/error.h>
#include <fathom/evaluate.h>
#include <fathom/formats.h>
#include <fathom/harvest.h>
#include <fathom/hook.h>
#include <fathom/layers.h>
#include <fathom/model.h>
#include <fathom/monosemanticity.h>
#include <fathom/progress.h>
#include <fathom/server.h>
#include <fathom/session.h>
#include <fathom/shuffle.h>
#include <fathom/sparse_probe.h>
#include <fathom/steer.h>
#include <fathom/trainer.h>
#include <fathom/write.h>

#endif
