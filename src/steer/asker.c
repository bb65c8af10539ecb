#include "steer/asker.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/thread.h"
#include "detect/read.h"
#include "steer/answer.h"
#include "steer/fluency.h"
#include <string.h>

/* Answers that are written side by side: a decode of a few rows takes little longer than one of a single row. */
enum { DEFAULT_NEW = 48, MOST_TOKENS = 4096, REPETITION_SIZE = 4, SIDE_BY_SIDE = 16 };

/* Logits of one decode that are held at once, and the rows that a decode has all the same at least and at most. */
enum { MOST_LOGITS = 1 << 25, FEWEST_ROWS = 64, MOST_ROWS = 512 };

/* An answer is compared with so many other questions, its own one first. */
enum { MOST_COMPARED = 5 };

/* What the answer to a single question is compared with. */
static const char *const own_questions[] = {"What is the capital of France?", "How do I boil an egg?",
                                            "Who wrote Hamlet?", "Why is the sky blue?"};
enum { OWN_QUESTIONS = sizeof own_questions / sizeof own_questions[0] };

struct fathom__asker {
    const fathom_model *model;
    const struct fathom_steer_asking *asking;
    const fathom_concept *concept;
    struct fathom__prompt *prompts; /* [n_prompts]: the questions, then those that are only compared with */
    size_t n_prompts;
    struct fathom__prompt *instructed; /* [questions]: what is asked instead; NULL: the questions' prompts */
    uint32_t n_seeds, max_new;
    size_t steered_length; /* tokens of prompt and answer that a sequence of `steered` holds */
    fathom_session *steered, *plain;
};

static void free_prompts(struct fathom__prompt *prompts, size_t n) {
    for (size_t q = 0; q < n && prompts != NULL; q++) {
        fathom_free(prompts[q].tokens);
    }
    fathom_free(prompts);
}

void fathom__asker_close(fathom__asker *asker) {
    if (asker == NULL) {
        return;
    }
    fathom_session_close(asker->steered);
    fathom_session_close(asker->plain);
    free_prompts(asker->instructed, asker->asking->n_questions);
    free_prompts(asker->prompts, asker->n_prompts);
    fathom_free(asker);
}

size_t fathom__asker_count(const fathom__asker *asker) {
    return asker->asking->n_questions * asker->n_seeds;
}

static const struct fathom__prompt *asked(const fathom__asker *asker) {
    return asker->instructed != NULL ? asker->instructed : asker->prompts;
}

static size_t longest_of(const struct fathom__prompt *prompts, size_t n) {
    size_t longest = 0;
    for (size_t q = 0; q < n; q++) {
        longest = prompts[q].n > longest ? prompts[q].n : longest;
    }
    return longest;
}

/* Questions that an answer is compared with, its own among them. */
static size_t n_compared(const fathom__asker *asker) {
    return asker->n_prompts < MOST_COMPARED ? asker->n_prompts : MOST_COMPARED;
}

static int check_length(const fathom__asker *asker, size_t longest) {
    return longest + asker->max_new <= MOST_TOKENS
               ? FATHOM_OK
               : fathom__fail(FATHOM_ERROR_LIMIT, "a prompt of %zu tokens with an answer of %u is longer than %d",
                              longest, asker->max_new, MOST_TOKENS);
}

/* The session that answers: opened when it is first needed, and anew for longer prompts. */
static int open_steered(fathom__asker *asker) {
    struct fathom_session_options options = FATHOM_SESSION_OPTIONS_INIT;
    size_t n_answers = fathom__asker_count(asker);
    size_t together = n_answers < SIDE_BY_SIDE ? n_answers : SIDE_BY_SIDE;
    size_t longest = longest_of(asked(asker), asker->asking->n_questions);
    if (asker->steered != NULL && longest + asker->max_new <= asker->steered_length) {
        return FATHOM_OK;
    }
    fathom_session_close(asker->steered);
    asker->steered = NULL;
    int status = check_length(asker, longest);
    if (status == FATHOM_OK) {
        asker->steered_length = longest + asker->max_new;
        options.n_threads = fathom__session_threads(asker->model);
        options.n_batch = (uint32_t)asker->steered_length;
        options.n_sequences = (uint32_t)together;
        options.n_context = options.n_batch * options.n_sequences;
        status = fathom_session_open(&asker->steered, asker->model, &options);
    }
    return status;
}

/* The session that measures, with the questions in it. */
static int open_plain(fathom__asker *asker) {
    struct fathom_session_options options = FATHOM_SESSION_OPTIONS_INIT;
    size_t longest = longest_of(asker->prompts, asker->n_prompts);
    size_t most = MOST_LOGITS / fathom_model_describe(asker->model)->n_vocab;
    size_t length = longest + asker->max_new;
    size_t useful = n_compared(asker) * asker->max_new;
    int status = check_length(asker, longest);
    if (status != FATHOM_OK) {
        return status;
    }
    most = most < FEWEST_ROWS ? FEWEST_ROWS : most > MOST_ROWS ? MOST_ROWS : most;
    most = useful < most ? useful : most;
    options.n_threads = fathom__session_threads(asker->model);
    options.n_batch = (uint32_t)(length > most ? length : most);
    options.n_sequences = (uint32_t)(asker->n_prompts + n_compared(asker));
    options.n_context = (uint32_t)(longest * asker->n_prompts + n_compared(asker) * length);
    options.flash_attention = true; /* answers are only read there, and score the same whatever else is kept */
    status = fathom_session_open(&asker->plain, asker->model, &options);
    return status == FATHOM_OK ? fathom__prompts_keep(asker->plain, asker->prompts, asker->n_prompts) : status;
}

int fathom__asker_open(fathom__asker **out, const fathom_model *model, const struct fathom_steer_asking *asking,
                       const fathom_concept *concept) {
    fathom__asker *asker = NULL;
    const char *const *others = asking->others;
    size_t n_others = asking->n_others;
    if (asking->n_questions == 0) {
        return fathom__fail(FATHOM_ERROR_ARGUMENT, "at least one question is needed");
    }
    if (asking->n_questions + n_others < 2) {
        others = own_questions;
        n_others = OWN_QUESTIONS;
    }
    int status = fathom__alloc(&asker, 1, sizeof *asker);
    if (status != FATHOM_OK) {
        return status;
    }
    asker->model = model;
    asker->asking = asking;
    asker->concept = concept;
    asker->n_seeds = asking->n_seeds ? asking->n_seeds : 1;
    asker->max_new = asking->max_new ? asking->max_new : DEFAULT_NEW;
    asker->n_prompts = asking->n_questions + n_others;
    status = fathom__alloc(&asker->prompts, asker->n_prompts, sizeof *asker->prompts);
    for (size_t q = 0; q < asker->n_prompts && status == FATHOM_OK; q++) {
        const char *question = q < asking->n_questions ? asking->questions[q] : others[q - asking->n_questions];
        status = fathom_prompt_tokens(&asker->prompts[q].tokens, &asker->prompts[q].n, model, &asking->style, question);
    }
    if (status == FATHOM_OK) {
        status = open_plain(asker);
    }
    if (status != FATHOM_OK) {
        fathom__asker_close(asker);
        return status;
    }
    *out = asker;
    return FATHOM_OK;
}

int fathom__asker_instruct(fathom__asker *asker, const char *instruction) {
    const struct fathom_steer_asking *asking = asker->asking;
    struct fathom__prompt *prompts = NULL;
    int status = FATHOM_OK;
    free_prompts(asker->instructed, asking->n_questions);
    asker->instructed = NULL;
    if (instruction == NULL) {
        return FATHOM_OK;
    }
    status = fathom__alloc(&prompts, asking->n_questions, sizeof *prompts);
    for (size_t q = 0; q < asking->n_questions && status == FATHOM_OK; q++) {
        char *question = NULL;
        status = fathom__format(&question, "%s%s", instruction, asking->questions[q]);
        if (status == FATHOM_OK) {
            status = fathom_prompt_tokens(&prompts[q].tokens, &prompts[q].n, asker->model, &asking->style, question);
        }
        fathom_free(question);
    }
    if (status != FATHOM_OK) {
        free_prompts(prompts, asking->n_questions);
        return status;
    }
    asker->instructed = prompts;
    return FATHOM_OK;
}

/* Likelihood and relevance of an answer in the plain model: after its own question and after those that follow it. */
static int measure_plain(struct fathom__measured *out, fathom__asker *asker, size_t question,
                         const struct fathom__answer *answer) {
    size_t which[MOST_COMPARED];
    double sums[MOST_COMPARED];
    size_t n = n_compared(asker);
    double others = 0;
    for (size_t i = 0; i < n; i++) {
        which[i] = (question + i) % asker->n_prompts;
    }
    int status = fathom__prompts_probabilities(sums, asker->plain, asker->prompts, asker->n_prompts, which, n,
                                               answer->tokens, answer->n);
    for (size_t i = 1; i < n && status == FATHOM_OK; i++) {
        others += sums[i] / (double)(n - 1);
    }
    if (status == FATHOM_OK) {
        out->log_probability = sums[0] / (double)answer->n;
        out->relevance = (sums[0] - others) / (double)answer->n;
    }
    return status;
}

static int measure(struct fathom__measured *out, fathom__asker *asker, size_t question,
                   const struct fathom__answer *answer) {
    *out = (struct fathom__measured){.n_tokens = answer->n, .n_words = fathom__count_words(answer->text)};
    if (asker->concept != NULL) {
        out->n_mentions = fathom_concept_mentions(asker->concept, answer->text);
    }
    if (answer->n == 0) {
        out->repetition = 1; /* an empty answer says nothing new */
        return FATHOM_OK;
    }
    out->repetition = fathom__repetition(answer->tokens, answer->n, REPETITION_SIZE);
    out->distinct_1 = fathom__distinct(answer->tokens, answer->n, 1);
    out->distinct_2 = fathom__distinct(answer->tokens, answer->n, 2);
    out->concept = answer->concept;
    return measure_plain(out, asker, question, answer);
}

/* Answers [first, first + n) of all. */
static int ask_some(struct fathom__measured *out, struct fathom_answers *answers, fathom__asker *asker,
                    fathom_steering *steering, size_t first, size_t n, uint64_t seed_offset) {
    struct fathom__request requests[SIDE_BY_SIDE];
    struct fathom__answer given[SIDE_BY_SIDE];
    for (size_t i = 0; i < n; i++) {
        const struct fathom__prompt *prompt = &asked(asker)[(first + i) / asker->n_seeds];
        uint64_t seed = asker->asking->sampling.seed + seed_offset + (first + i) % asker->n_seeds;
        requests[i] = (struct fathom__request){prompt->tokens, prompt->n, seed};
    }
    int status = fathom__answers_generate(given, asker->steered, steering, requests, n, asker->max_new,
                                          &asker->asking->sampling, asker->asking->style.stop, asker->concept);
    if (status != FATHOM_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        if (status == FATHOM_OK) {
            status = measure(&out[first + i], asker, (first + i) / asker->n_seeds, &given[i]);
        }
        if (status == FATHOM_OK && answers != NULL) {
            answers->texts[answers->n++] = given[i].text;
            given[i].text = NULL;
        }
        fathom__answer_free(&given[i]);
    }
    return status;
}

int fathom__asker_measure(struct fathom__measured *out, struct fathom_answers *answers, fathom__asker *asker,
                          const fathom_steer *plan, uint64_t seed_offset, fathom__between_fn between, void *payload) {
    fathom_steering *steering = NULL;
    struct fathom_answers kept = FATHOM_ANSWERS_INIT;
    size_t n_answers = fathom__asker_count(asker);
    int status = answers != NULL ? fathom__alloc(&kept.texts, n_answers, sizeof *kept.texts) : FATHOM_OK;
    if (status == FATHOM_OK) {
        status = open_steered(asker);
    }
    if (status == FATHOM_OK && plan != NULL) {
        status = fathom_steer_attach(&steering, asker->steered, plan);
    }
    for (size_t first = 0; first < n_answers && status == FATHOM_OK; first += SIDE_BY_SIDE) {
        size_t n = n_answers - first < SIDE_BY_SIDE ? n_answers - first : SIDE_BY_SIDE;
        status = ask_some(out, answers != NULL ? &kept : NULL, asker, steering, first, n, seed_offset);
        if (status == FATHOM_OK && between != NULL) {
            int returned = between(n, payload);
            status = returned == 0 ? FATHOM_OK : fathom__callback_status(returned);
        }
    }
    fathom_steer_detach(steering);
    if (status != FATHOM_OK) {
        fathom_answers_free(&kept);
        return status;
    }
    if (answers != NULL) {
        *answers = kept;
    }
    return FATHOM_OK;
}

int fathom__asker_ask(struct fathom_steer_score *out, struct fathom_answers *answers, fathom__asker *asker,
                      const fathom_steer *plan, const struct fathom_steer_score *plain, uint64_t seed_offset,
                      fathom__between_fn between, void *payload) {
    struct fathom__measured *measured = NULL;
    size_t n = fathom__asker_count(asker);
    int status = fathom__alloc(&measured, n, sizeof *measured);
    if (status == FATHOM_OK) {
        status = fathom__asker_measure(measured, answers, asker, plan, seed_offset, between, payload);
    }
    if (status == FATHOM_OK) {
        fathom__measured_score(out, measured, n, asker->concept != NULL, plain);
    }
    fathom_free(measured);
    return status;
}

int fathom__asking_report(size_t n_answers, void *payload) {
    struct fathom__asking_progress *report = payload;
    const struct fathom_steer_asking *asking = report->asking;
    double seconds = fathom__seconds() - report->started;
    report->done += n_answers;
    if (asking->progress == NULL) {
        return 0;
    }
    double rate = seconds > 0 ? (double)report->done / seconds : 0;
    struct fathom_progress progress = {.stage = "answers",
                                       .done = report->done,
                                       .total = report->total,
                                       .unit = "answers",
                                       .units_per_second = rate,
                                       .seconds_left = rate > 0 ? (double)(report->total - report->done) / rate : -1};
    return asking->progress(&progress, asking->payload);
}

int fathom_steer_ask(struct fathom_steer_score *out, struct fathom_answers *answers, const fathom_model *model,
                     const fathom_steer *plan, const struct fathom_steer_asking *asking, const fathom_concept *concept,
                     const struct fathom_steer_score *plain) {
    fathom__asker *asker = NULL;
    int status = fathom__asker_open(&asker, model, asking, concept);
    if (status == FATHOM_OK) {
        struct fathom__asking_progress report = {
            .asking = asking, .total = fathom__asker_count(asker), .started = fathom__seconds()};
        status = fathom__asker_ask(out, answers, asker, plan, plain, 0, fathom__asking_report, &report);
    }
    fathom__asker_close(asker);
    return status;
}
