/* libfathom: a language model's inside, visible and steerable.
 *
 * What every other header rests on
 *   error.h           statuses and messages              progress.h     long work: progress and stopping
 *   cache.h           what is kept on this machine
 *
 * Models and what runs in them
 *   model.h           GGUF models, tokens, chat          chat.h         chats as tokens, and whose each is
 *   hook.h            hook points by TransformerLens name
 *   session.h         running, taps, edits, sampling     capture.h      rows of hook points in a file
 *   corpus.h          documents out of files             harvest.h      a corpus as activations
 *   write.h           a corpus that the model writes     shuffle.h      models that learned nothing
 *   doctor.h          proof that taps and edits work here
 *
 * Dictionaries
 *   dictionary.h      sparse features                    trainer.h      training them
 *   formats.h         dictionaries of other trainers     evaluate.h     what one is worth
 *   drift.h           what quantising moves              stability.h    which features come back
 *   surface.h         the loss over sizes and tokens     crosscoder.h   whose a crosscoder's features are
 *   layers.h          what a transcoder is worth at each layer that it writes
 *
 * What the features mean, and what they tell
 *   catalogue.h       features, examples, search         labels.h       people's labels over time
 *   ledger.h          runs of training                   monosemanticity.h  how many features one label tells
 *   detect.h          monitors and probes                sparse_probe.h labels in a few features
 *   absorption.h      first letters that features miss
 *
 * Steering, explaining, serving
 *   steer.h           steering and its search            plan.h         edits of every kind, as texts
 *   refusal.h         the direction that a model refuses by
 *   cast.h            the condition that tells prompts of a kind from others
 *   prefer.h          of several samples the one that is most of a feature
 *   explain.h         what carried an answer             server.h       a model over HTTP
 */
#ifndef FATHOM_H
#define FATHOM_H

#include <fathom/absorption.h>
#include <fathom/cache.h>
#include <fathom/capture.h>
#include <fathom/cast.h>
#include <fathom/catalogue.h>
#include <fathom/chat.h>
#include <fathom/corpus.h>
#include <fathom/crosscoder.h>
#include <fathom/detect.h>
#include <fathom/dictionary.h>
#include <fathom/doctor.h>
#include <fathom/drift.h>
#include <fathom/error.h>
#include <fathom/evaluate.h>
#include <fathom/explain.h>
#include <fathom/formats.h>
#include <fathom/harvest.h>
#include <fathom/hook.h>
#include <fathom/judge.h>
#include <fathom/labels.h>
#include <fathom/layers.h>
#include <fathom/ledger.h>
#include <fathom/model.h>
#include <fathom/monosemanticity.h>
#include <fathom/plan.h>
#include <fathom/prefer.h>
#include <fathom/progress.h>
#include <fathom/refusal.h>
#include <fathom/server.h>
#include <fathom/session.h>
#include <fathom/shuffle.h>
#include <fathom/sparse_probe.h>
#include <fathom/stability.h>
#include <fathom/steer.h>
#include <fathom/surface.h>
#include <fathom/trainer.h>
#include <fathom/write.h>

#endif
