/* Many jobs in one batch: each gets what it gets alone, whatever the others do. */
#include "base/scratch.h"
#include "base/thread.h"
#include "server/batcher.h"
#include "tests/support/check.h"
#include "tests/support/tiny_model.h"
#include "tests/support/toy_dictionary.h"
#include <fathom/plan.h>
#include <math.h>

#define HOOK "blocks.1.hook_resid_post"
enum { JOBS = 6, ANSWER = 12, PROMPT = 20, LONGEST_TEXT = 512 };
#define NEVER 60.0

static fathom_model *model;
static fathom_dictionary *dictionary;

static int open_all(void **state) {
    (void)state;
    const struct toy_options options = {.hook = HOOK, .scale = 1.0f, .skip_positions = 1, .max_norm = INFINITY};
    int status = fathom_test_tiny_model(scratch("tiny.gguf"), "llama", 1);
    if (!status) status = fathom_model_open(&model, scratch("tiny.gguf"), NULL);
    if (!status) status = toy_dictionary_write(scratch("toy.gguf"), model, &options);
    if (!status) status = fathom_dictionary_open(&dictionary, scratch("toy.gguf"));
    if (status) print_error("%s\n", fathom_error_message());
    return status;
}

static int close_all(void **state) {
    (void)state;
    fathom_dictionary_close(dictionary);
    fathom_model_close(model);
    return 0;
}

static fathom__batcher *open_batcher(uint32_t n_parallel, uint32_t n_context, uint32_t n_queue) {
    const struct fathom__batcher_options options = {.n_parallel = n_parallel,
                                                    .n_context = n_context,
                                                    .n_batch = 16,
                                                    .n_threads = 1,
                                                    .n_queue = n_queue,
                                                    .flash_attention = true};
    fathom__batcher *batcher = NULL;
    check_ok(fathom__batcher_open(&batcher, model, &options));
    return batcher;
}

/* A prompt of its own for each job. */
static void make_prompt(int32_t *tokens, size_t n, int job) {
    for (size_t i = 0; i < n; i++)
        tokens[i] = 5 + (int32_t)(((size_t)job * 13 + i * i * 7 + 1) % 90);
}

/* A whole answer. */
struct answer {
    char text[LONGEST_TEXT];
    size_t length, n_tokens;
    struct fathom__job_token tokens[64];
    float levels[64];
    enum fathom__finish finish;
    int status;
};

static void collect(struct answer *out, fathom__job *job, bool watched) {
    struct fathom__job_part part = FATHOM__JOB_PART_INIT;
    *out = (struct answer){0};
    while (!out->finish) {
        out->status = fathom__job_take(&part, job, NEVER);
        assert_true(out->length + part.length < LONGEST_TEXT && out->n_tokens + part.n_tokens <= 64);
        if (part.length) memcpy(out->text + out->length, part.text, part.length);
        for (size_t i = 0; i < part.n_tokens; i++) {
            out->tokens[out->n_tokens + i] = part.tokens[i];
            if (watched) out->levels[out->n_tokens + i] = part.levels[i];
        }
        out->length += part.length;
        out->n_tokens += part.n_tokens;
        out->finish = part.finish;
    }
    fathom__job_part_free(&part);
}

static void answer_alone(struct answer *out, const struct fathom__job_request *request) {
    fathom__batcher *batcher = open_batcher(1, 128, 4);
    fathom__job *job = NULL;
    check_ok(fathom__job_submit(&job, batcher, request));
    collect(out, job, request->n_watches > 0);
    fathom__job_close(job);
    fathom__batcher_close(batcher);
}

static void assert_same_answer(const struct answer *a, const struct answer *b) {
    assert_int_equal(a->finish, b->finish);
    assert_int_equal(a->n_tokens, b->n_tokens);
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->text, b->text, a->length);
    for (size_t i = 0; i < a->n_tokens; i++) {
        assert_int_equal(a->tokens[i].token, b->tokens[i].token);
        assert_true(fabs(a->tokens[i].log_probability - b->tokens[i].log_probability) < 0.02);
    }
}

static struct fathom__job_request request_of(const int32_t *tokens, size_t n) {
    return (struct fathom__job_request){
        .tokens = tokens, .n = n, .max_new = ANSWER, .log_probabilities = true, .dictionary = dictionary};
}

static fathom_steer *plan_of(float value, int times) {
    const struct fathom_steer_feature edit = {
        .dictionary = dictionary, .feature = 3, .mode = FATHOM_STEER_ADD, .value = value};
    fathom_steer *plan = NULL;
    check_ok(fathom_steer_open(&plan, model));
    for (int i = 0; i < times; i++)
        check_ok(fathom_steer_add_feature(plan, &edit));
    return plan;
}

/* Twice as many jobs as places, of different lengths, every other one steered, every third one watched. */
static void jobs_get_what_they_get_alone(void **state) {
    (void)state;
    fathom__batcher *batcher = open_batcher(3, 128, 16);
    fathom_steer *plan = plan_of(6.0f, 1);
    const struct fathom_watch watch = {.dictionary = dictionary, .feature = 2};
    static int32_t prompts[JOBS][PROMPT];
    struct fathom__job_request requests[JOBS];
    fathom__job *jobs[JOBS];
    static struct answer together, alone, plain;
    for (int i = 0; i < JOBS; i++) {
        const size_t n = PROMPT - 3 * (size_t)i;
        make_prompt(prompts[i], n, i);
        requests[i] = request_of(prompts[i], n);
        requests[i].max_new = ANSWER + (uint32_t)i;
        if (i % 2) requests[i].plan = plan;
        if (i % 3 == 0) requests[i].watches = &watch;
        requests[i].n_watches = i % 3 == 0;
        check_ok(fathom__job_submit(&jobs[i], batcher, &requests[i]));
    }
    for (int i = 0; i < JOBS; i++) {
        collect(&together, jobs[i], requests[i].n_watches > 0);
        answer_alone(&alone, &requests[i]);
        assert_same_answer(&together, &alone);
        assert_int_equal(together.n_tokens, requests[i].max_new);
        assert_int_equal(together.finish, FATHOM__FINISH_LENGTH);
        for (size_t t = 0; t < together.n_tokens && requests[i].n_watches; t++)
            assert_true(fabsf(together.levels[t] - alone.levels[t]) < 1e-2f);
        if (i == 1) {
            requests[i].plan = NULL;
            answer_alone(&plain, &requests[i]);
            assert_true(fabs(plain.tokens[0].log_probability - alone.tokens[0].log_probability) > 0.02);
        }
    }
    for (int i = 0; i < JOBS; i++)
        fathom__job_close(jobs[i]);
    fathom__batcher_close(batcher);
    fathom_steer_close(plan);
}

/* Levels are those that the model has when it reads the same tokens. */
static void levels_are_those_at_the_tokens(void **state) {
    (void)state;
    int32_t prompt[PROMPT], all[PROMPT + ANSWER];
    static struct answer answer;
    const struct fathom_watch watch = {.dictionary = dictionary, .feature = 2};
    make_prompt(prompt, PROMPT, 1);
    struct fathom__job_request request = request_of(prompt, PROMPT);
    request.watches = &watch;
    request.n_watches = 1;
    answer_alone(&answer, &request);
    memcpy(all, prompt, sizeof prompt);
    for (size_t i = 0; i < answer.n_tokens; i++)
        all[PROMPT + i] = answer.tokens[i].token;
    fathom__batcher *batcher = open_batcher(2, 128, 2);
    fathom__job *job = NULL;
    struct fathom__job_request reading = {.tokens = all, .n = PROMPT + ANSWER, .keeps_rows = true, .width = TOY_WIDTH};
    check_ok(fathom_hook_parse(&reading.hook, model, HOOK));
    check_ok(fathom__job_submit(&job, batcher, &reading));
    static struct answer read;
    collect(&read, job, false);
    assert_int_equal(read.finish, FATHOM__FINISH_READ);
    assert_int_equal(read.n_tokens, 0);
    for (size_t i = 0; i < answer.n_tokens; i++) {
        const double level = toy_level(fathom__job_rows(job) + (PROMPT + i) * TOY_WIDTH, 2, 1.0);
        assert_true(fabs(level - (double)answer.levels[i]) < 1e-2);
    }
    fathom__job_close(job);
    fathom__batcher_close(batcher);
}

static size_t run(struct answer *out, fathom__batcher *batcher, const struct fathom__job_request *request) {
    fathom__job *job = NULL;
    check_ok(fathom__job_submit(&job, batcher, request));
    collect(out, job, request->n_watches > 0);
    const size_t cached = fathom__job_cached(job);
    fathom__job_close(job);
    return cached;
}

/* A prefix that other edits acted on is never shared; one that none acted on is, also the prompt of a steered answer. */
static void prefixes_are_shared_where_no_other_edit_acted(void **state) {
    (void)state;
    fathom__batcher *batcher = open_batcher(2, 128, 4);
    fathom_steer *plan = plan_of(6.0f, 1);
    int32_t prompt[PROMPT + ANSWER];
    static struct answer first, again, alone;
    make_prompt(prompt, PROMPT, 2);
    struct fathom__job_request request = request_of(prompt, PROMPT);
    assert_int_equal(run(&first, batcher, &request), 0);
    assert_int_equal(run(&again, batcher, &request), PROMPT - 1);
    assert_same_answer(&first, &again);

    /* The answer is part of the next prompt. */
    for (size_t i = 0; i < ANSWER; i++)
        prompt[PROMPT + i] = first.tokens[i].token;
    struct fathom__job_request longer = request_of(prompt, PROMPT + ANSWER);
    assert_int_equal(run(&again, batcher, &longer), PROMPT + ANSWER - 1);
    answer_alone(&alone, &longer);
    assert_same_answer(&again, &alone);

    /* Steered everywhere: nothing of it was computed so before. */
    struct fathom__job_request steered = longer;
    steered.plan = plan;
    assert_int_equal(run(&again, batcher, &steered), 0);
    answer_alone(&alone, &steered);
    assert_same_answer(&again, &alone);
    assert_int_equal(run(&again, batcher, &steered), PROMPT + ANSWER - 1);
    /* And the whole prompt is read afresh where its levels are wanted. */
    const struct fathom_watch watch = {.dictionary = dictionary, .feature = 2};
    longer.watches = &watch;
    longer.n_watches = 1;
    longer.whole_prompt = true;
    assert_int_equal(run(&again, batcher, &longer), 0);
    fathom__batcher_close(batcher);
    fathom_steer_close(plan);
}

/* Feature 3 made larger in some rows, as a document. */
static fathom_steer *plan_where(const char *members, double value) {
    const struct fathom_steer_context context = {.dictionary = dictionary};
    fathom_steer *plan = NULL;
    char text[400];
    snprintf(text, sizeof text,
             "{\"fathom_plan\": 1, \"edits\": [{\"feature\": 3, \"how\": \"add\", \"value\": %g, \"unit\": "
             "\"activation\"%s%s}]}",
             value, *members ? ", " : "", members);
    check_ok(fathom_steer_open(&plan, model));
    check_ok(fathom_steer_read(plan, text, strlen(text), "plan", &context));
    return plan;
}

/* What is taken from the cache when a prompt, `longer` tokens longer than before, is read under a plan after it was read plainly, under
 * another strength, and under the plan itself: each time the answer is the one that nothing was taken for. */
static void shares(const char *members, size_t after_plain, size_t after_other, size_t after_equal, size_t longer) {
    fathom_steer *plans[] = {NULL, plan_where(members, 8.0), plan_where(members, 16.0), plan_where(members, 16.0)};
    const size_t expected[] = {after_plain, after_other, after_equal};
    int32_t prompt[PROMPT];
    static struct answer before, cached, alone, plain;
    make_prompt(prompt, PROMPT, 5);
    struct fathom__job_request request = request_of(prompt, PROMPT);
    answer_alone(&plain, &request);
    for (int i = 0; i < 3; i++) {
        fathom__batcher *batcher = open_batcher(1 + (uint32_t)i % 2, 128, 4);
        request.plan = plans[i];
        request.n = PROMPT - longer;
        (void)run(&before, batcher, &request);
        request.plan = plans[3];
        request.n = PROMPT;
        const size_t n = run(&cached, batcher, &request);
        if (n != expected[i]) fail_msg("{%s}, %d: %zu tokens from the cache, not %zu", members, i, n, expected[i]);
        answer_alone(&alone, &request);
        assert_same_answer(&cached, &alone);
        fathom__batcher_close(batcher);
    }
    double most = 0;
    for (size_t t = 0; t < alone.n_tokens && t < plain.n_tokens; t++)
        most = fmax(most, fabs(alone.tokens[t].log_probability - plain.tokens[t].log_probability));
    if (most < 0.1) fail_msg("{%s}: the plan changes nothing", members);
    for (int i = 0; i < 4; i++)
        fathom_steer_close(plans[i]);
}

static void what_a_plan_does_not_reach_is_shared(void **state) {
    (void)state;
    enum { ALL = PROMPT - 1, SHORT = PROMPT - 3 };
    char after[64];
    int32_t prompt[PROMPT];
    make_prompt(prompt, PROMPT, 5);
    shares("", 0, 0, ALL, 0);
    shares("\"part\": \"answer\"", ALL, ALL, ALL, 0);
    shares("\"part\": \"answer\", \"ramp\": 4", SHORT, SHORT, SHORT, 3);
    shares("\"part\": \"prompt\"", 0, 0, ALL, 0);
    shares("\"part\": \"prompt\"", 0, 0, SHORT, 3);
    shares("\"positions\": [12, 14]", 12, 12, ALL, 0);
    shares("\"positions\": [19, 40]", ALL, ALL, ALL, 0);
    /* Places that are counted from the prompt's end are others in a longer one. */
    shares("\"positions\": [-8, -1]", 12, 12, ALL, 0);
    shares("\"positions\": [-8, -1]", 12, 9, 9, 3);
    /* What an edit waits for may lie in what is shared. */
    snprintf(after, sizeof after, "\"part\": \"answer\", \"after_token\": %d", prompt[2]);
    shares(after, ALL, ALL, ALL, 0);
    snprintf(after, sizeof after, "\"after_token\": %d", prompt[2]);
    shares(after, 0, 0, ALL, 0);
    /* And so may the levels that it depends on: no plain reading tells them. */
    shares("\"while\": {\"feature\": 2, \"above\": -1, \"unit\": \"activation\"}, \"part\": \"answer\"", ALL, ALL, ALL,
           0);
    shares("\"while\": {\"feature\": 2, \"above\": 0.1, \"unit\": \"activation\", \"over\": \"prompt\"}", 0, 0, ALL, 0);
    shares("\"while\": {\"feature\": 2, \"above\": 0.1, \"unit\": \"activation\", \"over\": \"ever\"}", 0, 0, ALL, 0);
    shares("\"while\": {\"feature\": 2, \"above\": 0.1, \"unit\": \"activation\", \"window\": 8}", 0, 0, ALL, 0);
    shares("\"while\": {\"feature\": 2, \"above\": 0.1, \"unit\": \"activation\", \"over\": \"ever\"}", 0, 0, SHORT, 3);
}

/* Levels that a plan looks back to are also had from a neighbour that still writes. */
static void levels_are_shared_with_a_running_neighbour(void **state) {
    (void)state;
    fathom__batcher *batcher = open_batcher(2, 256, 2);
    fathom_steer *plan =
        plan_where("\"while\": {\"feature\": 2, \"above\": 0.1, \"unit\": \"activation\", \"over\": \"prompt\"}", 16.0);
    fathom__job *running = NULL;
    struct fathom__job_part part = FATHOM__JOB_PART_INIT;
    static struct answer beside, alone;
    int32_t prompt[PROMPT];
    make_prompt(prompt, PROMPT, 5);
    struct fathom__job_request request = request_of(prompt, PROMPT);
    request.plan = plan;
    answer_alone(&alone, &request);
    request.max_new = 100;
    check_ok(fathom__job_submit(&running, batcher, &request));
    check_ok(fathom__job_take(&part, running, NEVER));
    request.max_new = ANSWER;
    assert_int_equal(run(&beside, batcher, &request), PROMPT - 1);
    assert_same_answer(&beside, &alone);
    fathom__job_close(running);
    fathom__job_part_free(&part);
    fathom__batcher_close(batcher);
    fathom_steer_close(plan);
}

/* Steered until its numbers overflow, a job fails by itself: its neighbours' answers are what they are without it. */
static void a_job_that_breaks_itself_breaks_no_other(void **state) {
    (void)state;
    fathom__batcher *batcher = open_batcher(3, 128, 8);
    fathom_steer *plan = plan_of(3e38f, 16);
    static int32_t prompts[3][PROMPT];
    fathom__job *jobs[3];
    struct fathom__job_request requests[3];
    static struct answer together, alone;
    for (int i = 0; i < 3; i++) {
        make_prompt(prompts[i], PROMPT, i);
        requests[i] = request_of(prompts[i], PROMPT);
        if (i == 1) requests[i].plan = plan;
        check_ok(fathom__job_submit(&jobs[i], batcher, &requests[i]));
    }
    for (int i = 0; i < 3; i++) {
        collect(&together, jobs[i], false);
        if (i == 1) {
            assert_int_equal(together.finish, FATHOM__FINISH_FAILED);
            check_status(together.status, FATHOM_ERROR_NUMERIC, "not finite");
        } else {
            answer_alone(&alone, &requests[i]);
            assert_same_answer(&together, &alone);
        }
        fathom__job_close(jobs[i]);
    }
    fathom__batcher_close(batcher);
    fathom_steer_close(plan);
}

static void stop_texts_end_answers(void **state) {
    (void)state;
    int32_t prompt[PROMPT];
    static struct answer whole, cut;
    char stop[8] = "";
    make_prompt(prompt, PROMPT, 3);
    struct fathom__job_request request = request_of(prompt, PROMPT);
    answer_alone(&whole, &request);
    const struct fathom__job_token *third = &whole.tokens[2];
    assert_in_range(third->end - third->begin, 1, sizeof stop - 1);
    memcpy(stop, whole.text + third->begin, third->end - third->begin);
    const char *found = strstr(whole.text, stop);
    assert_non_null(found);
    const char *stops[] = {stop};
    request.stops = stops;
    request.n_stops = 1;
    answer_alone(&cut, &request);
    assert_int_equal(cut.finish, FATHOM__FINISH_END);
    assert_int_equal(cut.length, (size_t)(found - whole.text));
    assert_memory_equal(cut.text, whole.text, cut.length);
}

static void jobs_wait_in_a_bounded_queue_and_end_in_time(void **state) {
    (void)state;
    fathom__batcher *batcher = open_batcher(1, 128, 1);
    int32_t prompt[PROMPT];
    fathom__job *running = NULL, *waiting = NULL, *refused = NULL;
    static struct answer answer;
    make_prompt(prompt, PROMPT, 4);
    struct fathom__job_request request = request_of(prompt, PROMPT);
    struct fathom__job_part part = FATHOM__JOB_PART_INIT;
    request.max_new = 100;
    check_ok(fathom__job_submit(&running, batcher, &request));
    check_ok(fathom__job_take(&part, running, NEVER)); /* it runs now */
    request.deadline = fathom__seconds();
    check_ok(fathom__job_submit(&waiting, batcher, &request));
    const int status = fathom__job_submit(&refused, batcher, &request);
    if (status == FATHOM_OK) { /* the late one had been swept out already */
        collect(&answer, refused, false);
        assert_int_equal(answer.finish, FATHOM__FINISH_LATE);
        fathom__job_close(refused);
    } else {
        check_status(status, FATHOM_ERROR_LIMIT, "wait already");
    }
    collect(&answer, waiting, false);
    assert_int_equal(answer.finish, FATHOM__FINISH_LATE);
    assert_int_equal(answer.n_tokens, 0);
    fathom__job_close(waiting);
    fathom__job_close(running); /* whether or not it has ended */
    fathom__job_part_free(&part);

    request.deadline = 0;
    request.max_new = fathom__batcher_longest(batcher) - PROMPT + 1;
    check_status(fathom__job_submit(&refused, batcher, &request), FATHOM_ERROR_ARGUMENT, "fit");
    request.n = 0;
    check_status(fathom__job_submit(&refused, batcher, &request), FATHOM_ERROR_ARGUMENT, "no tokens");
    request = request_of(prompt, PROMPT);
    request.n_top = FATHOM__MOST_TOP + 1;
    check_status(fathom__job_submit(&refused, batcher, &request), FATHOM_ERROR_ARGUMENT, "alternatives");
    fathom__batcher_drain(batcher, NEVER);
    check_status(fathom__job_submit(&refused, batcher, &(struct fathom__job_request){.tokens = prompt, .n = 1}),
                 FATHOM_ERROR_LIMIT, "stopping");
    fathom__batcher_close(batcher);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_get_what_they_get_alone),
        cmocka_unit_test(levels_are_those_at_the_tokens),
        cmocka_unit_test(prefixes_are_shared_where_no_other_edit_acted),
        cmocka_unit_test(what_a_plan_does_not_reach_is_shared),
        cmocka_unit_test(levels_are_shared_with_a_running_neighbour),
        cmocka_unit_test(a_job_that_breaks_itself_breaks_no_other),
        cmocka_unit_test(stop_texts_end_answers),
        cmocka_unit_test(jobs_wait_in_a_bounded_queue_and_end_in_time),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
