/* Everything else that is served, over a socket: models, tokens, embeddings, features, explanations, jobs, the description. */
#include "base/file.h"
#include "server/server_fixture.h"
#include <ctype.h>
#include <fathom/detect.h>

static void small_routes(void **state) {
    (void)state;
    json_t *reply = ask("GET", "/healthz", NULL, 200);
    assert_string_equal(text_at(reply, "status"), "ok");
    json_decref(reply);
    reply = ask("GET", "/v1/models", NULL, 200);
    assert_string_equal(text_at(reply, "data.0.id"), fathom_model_describe(model)->name);
    json_decref(reply);
    json_decref(ask("GET", "/v1/models/default", NULL, 200));
    refuses("GET", "/v1/models/other", NULL, 404, "\"other\"");
    reply = ask("POST", "/v1/tokenize", "{\"text\": \"Hello\"}", 200);
    const long long n = number_at(reply, "count");
    assert_true(n >= 1 && n == (long long)json_array_size(at(reply, "tokens")));
    json_t *tokens = json_array();
    for (long long i = 0; i < n; i++)
        json_array_append(tokens, json_object_get(json_array_get(at(reply, "tokens"), (size_t)i), "id"));
    json_t *request = json_pack("{s:o}", "tokens", tokens);
    char *text = json_dumps(request, 0);
    json_decref(reply);
    reply = ask("POST", "/v1/detokenize", text, 200);
    assert_string_equal(text_at(reply, "text"), "Hello");
    json_decref(reply);
    json_decref(request);
    free(text);
    reply = ask("GET", "/api/status", NULL, 200);
    assert_int_equal(number_at(reply, "limits.at_once"), 2);
    assert_string_equal(text_at(reply, "dictionary.name"), "toy");
    json_decref(reply);
    reply = ask("GET", "/api/hooks", NULL, 200);
    assert_string_equal(text_at(reply, "hooks.0.alias"), "embed");
    json_decref(reply);
}

static void rows_are_embedded(void **state) {
    (void)state;
    json_t *reply = ask("POST", "/v1/embeddings",
                        "{\"input\": [\"a cat\", [20, 21, 22]], \"hook\": \"resid_post.1\", \"pool\": \"last\"}", 200);
    assert_int_equal(json_array_size(at(reply, "data.0.embedding")), 64);
    assert_string_equal(text_at(reply, "hook"), HOOK);
    json_t *unit = ask("POST", "/v1/embeddings",
                       "{\"input\": [20, 21, 22], \"hook\": \"resid_post.1\", \"pool\": \"last\", \"normalise\": true, "
                       "\"dimensions\": 4}",
                       200);
    double sum = 0;
    assert_int_equal(json_array_size(at(unit, "data.0.embedding")), 4);
    for (size_t i = 0; i < 4; i++) {
        const double value = json_real_value(json_array_get(at(unit, "data.0.embedding"), i));
        sum += value * value;
    }
    assert_true(fabs(sum - 1.0) < 1e-5);
    json_t *coded = ask("POST", "/v1/embeddings",
                        "{\"input\": \"a cat\", \"encoding_format\": \"base64\", \"model\": \"default\"}", 200);
    assert_int_equal(strlen(text_at(coded, "data.0.embedding")), (64 * 4 + 2) / 3 * 4);
    json_decref(reply);
    json_decref(unit);
    json_decref(coded);
    refuses("POST", "/v1/embeddings", "{\"input\": \"a\", \"hook\": \"nowhere\"}", 404, "nowhere");
    refuses("POST", "/v1/embeddings", "{\"input\": \"a\", \"hook\": \"pattern.1\"}", 400, "fixed width");
    refuses("POST", "/v1/embeddings", "{\"input\": \"a\", \"pool\": \"most\"}", 400, "\"mean\"");
    refuses("POST", "/v1/embeddings", "{\"input\": []}", 400, "\"input\"");
    refuses("POST", "/v1/embeddings", "{\"input\": [99999999]}", 400, "token 0");
    refuses("POST", "/v1/embeddings", "{}", 400, "\"input\"");
    refuses("POST", "/v1/embeddings", "{\"input\": \"a\", \"model\": \"other\"}", 404, "\"other\"");
}

static void features_are_told(void **state) {
    (void)state;
    json_t *reply = ask("GET", "/api/features?offset=2&limit=3", NULL, 200);
    assert_int_equal(number_at(reply, "total"), TOY_FEATURES);
    assert_int_equal(json_array_size(at(reply, "features")), 3);
    assert_int_equal(number_at(reply, "features.0.feature"), 2);
    json_decref(reply);
    reply = ask("GET", "/api/features/2?examples=1", NULL, 200);
    assert_string_equal(text_at(reply, "index"), "2");
    assert_string_equal(text_at(reply, "hookName"), HOOK);
    assert_true(json_array_size(at(reply, "activations")) <= 1);
    assert_int_equal(json_array_size(at(reply, "freq_hist_data_bar_heights")), FATHOM_HISTOGRAM_BINS);
    json_decref(reply);
    refuses("GET", "/api/features/8", NULL, 404, "8");
    refuses("GET", "/api/features/two", NULL, 404, "\"two\"");
    refuses("GET", "/api/features?limit=many", NULL, 400, "limit");
    refuses("GET", "/api/features?limit=201", NULL, 400, "200");
    reply = ask("POST", "/api/activations", "{\"text\": \"the cat sat\", \"features\": 2}", 200);
    assert_true(json_array_size(at(reply, "tokens")) >= 3);
    assert_int_equal(json_array_size(at(reply, "tokens.0.features")), 0); /* a position that is skipped */
    json_decref(reply);
    json_decref(ask("POST", "/api/search", "{\"text\": \"the cat sat\"}", 200));
    json_decref(ask("POST", "/api/search", "{\"token\": \"a\"}", 200));
    refuses("POST", "/api/search", "{\"words\": \"a\", \"text\": \"b\"}", 400, "one of");
    refuses("POST", "/api/search", "{\"token\": \"quite a lot of tokens\"}", 400, "tokens");
    reply = ask("PUT", "/api/features/3/label", "{\"label\": \"small words\"}", 200);
    assert_string_equal(text_at(reply, "label"), "small words");
    json_decref(reply);
    reply = ask("GET", "/api/features?offset=3&limit=1", NULL, 200); /* at once, and everywhere */
    assert_string_equal(text_at(reply, "features.0.label"), "small words");
    assert_string_equal(text_at(reply, "features.0.label_origin"), "user");
    json_decref(reply);
    reply = ask("POST", "/api/search", "{\"words\": \"small words\"}", 200);
    assert_int_equal(number_at(reply, "features.0.feature"), 3);
    assert_string_equal(text_at(reply, "features.0.label"), "small words");
    json_decref(reply);
    json_decref(ask("PUT", "/api/features/3/label", "{\"label\": \"little words\"}", 200));
    reply = ask("GET", "/api/features/3", NULL, 200);
    assert_string_equal(text_at(reply, "explanations.0.description"), "little words");
    assert_int_equal(json_array_size(at(reply, "labelChanges")), 2); /* the latest first */
    assert_string_equal(text_at(reply, "labelChanges.0.description"), "little words");
    assert_string_equal(text_at(reply, "labelChanges.1.description"), "small words");
    json_decref(reply);
    reply = ask("PUT", "/api/features/3/label", "{\"label\": null}", 200);
    const char *left = json_string_value(json_object_get(reply, "label_origin"));
    assert_true(!left || strcmp(left, "user") != 0);
    json_decref(reply);
    refuses("PUT", "/api/features/3/label", "{\"label\": 5}", 400, "label");
    refuses("PUT", "/api/features/99/label", "{\"label\": \"x\"}", 404, "99");
}

static void features_have_places(void **state) {
    (void)state;
    json_t *map = ask("GET", "/api/map", NULL, 200), *again = ask("GET", "/api/map", NULL, 200);
    assert_string_equal(text_at(map, "method"), "neighbours");
    assert_int_equal(number_at(map, "features"), TOY_FEATURES);
    assert_int_equal(json_array_size(at(map, "x")), TOY_FEATURES);
    assert_int_equal(json_array_size(at(map, "y")), TOY_FEATURES);
    /* Of eight features all others are neighbours, wherever they lie. */
    assert_int_equal(number_at(map, "neighbours"), TOY_FEATURES - 1);
    assert_true(json_real_value(at(map, "kept")) == 1 && json_real_value(at(map, "kept_by_components")) == 1);
    assert_true(json_real_value(at(map, "kept_by_chance")) == 1);
    assert_true(json_equal(map, again));
    json_decref(map);
    json_decref(again);
}

static void answers_are_explained(void **state) {
    (void)state;
    json_t *reply = ask("POST", "/api/explain", "{\"prompt\": \"The cat sat\", \"answer_tokens\": 2}", 200);
    json_t *greedy =
        ask("POST", "/v1/completions", "{\"prompt\": \"The cat sat\", \"max_tokens\": 2, \"temperature\": 0}", 200);
    assert_string_equal(text_at(reply, "answer"), text_at(greedy, "choices.0.text"));
    assert_int_equal(number_at(reply, "first_token_rank"), 0);
    assert_int_equal(json_array_size(at(reply, "layers")), fathom_model_describe(model)->n_layers);
    assert_true(json_array_size(at(reply, "features")) > 0);
    assert_true(json_is_boolean(at(reply, "features.0.ablated.holds")));
    json_decref(greedy);
    json_decref(reply);
    reply = ask("POST", "/api/explain",
                "{\"prompt\": \"a c\", \"corrupt\": \"a b\", \"answer\": \"d\", \"features\": false}", 200);
    assert_null(json_object_get(reply, "features"));
    assert_int_equal(json_array_size(at(reply, "patching.recovered")), fathom_model_describe(model)->n_layers);
    json_decref(reply);
    refuses("POST", "/api/explain", "{}", 400, "prompt");
    refuses("POST", "/api/explain", "{\"prompt\": \"a\", \"answer\": \"\"}", 400, "answer");
    refuses("POST", "/api/explain", "{\"prompt\": \"a\", \"answer_tokens\": 0}", 400, "answer_tokens");
    refuses("POST", "/api/explain", "{\"prompt\": \"a\", \"corrupt\": \"a longer text\"}", 400, "as many");
}

static void jobs_are_refused_without_a_program(void **state) {
    (void)state;
    json_t *reply = ask("GET", "/api/jobs", NULL, 200);
    assert_int_equal(json_array_size(at(reply, "jobs")), 0);
    json_decref(reply);
    refuses("POST", "/api/jobs", "{\"command\": \"eval\"}", 400, "program");
    refuses("POST", "/api/jobs/1/resume", "{}", 400, "program");
    refuses("GET", "/api/jobs/1", NULL, 404, "1");
    refuses("DELETE", "/api/jobs/1", NULL, 404, "1");
    refuses("GET", "/api/jobs/x", NULL, 404, "job");
    refuses("GET", "/api/runs/x", NULL, 404, "run");
}

/* Every route that /openapi.json tells of is there, and every reply has what its schema requires. */
static void the_description_is_true(void **state) {
    (void)state;
    json_t *about = ask("GET", "/openapi.json", NULL, 200);
    assert_string_equal(text_at(about, "openapi"), "3.1.0");
    const char *path, *method;
    json_t *methods, *operation;
    size_t n = 0;
    json_object_foreach (json_object_get(about, "paths"), path, methods) {
        json_object_foreach (methods, method, operation) {
            const bool bodiless = strcmp(method, "get") == 0 || strcmp(method, "delete") == 0;
            char name_of[8] = "";
            for (size_t c = 0; method[c] && c + 1 < sizeof name_of; c++)
                name_of[c] = (char)toupper((unsigned char)method[c]);
            char asked[128];
            const char *brace = strchr(path, '{');
            const size_t before = brace ? (size_t)(brace - path) : strlen(path);
            snprintf(asked, sizeof asked, "%.*s%s%s", (int)before, path,
                     !brace                    ? ""
                     : strstr(path, "{model}") ? "default"
                                               : "1",
                     brace ? strchr(brace, '}') + 1 : "");
            struct http_reply reply;
            http_ask(&reply, port, name_of, asked, NULL, bodiless ? NULL : "{}");
            char code[8];
            snprintf(code, sizeof code, "%d", reply.status);
            json_t *described = json_object_get(json_object_get(operation, "responses"), code);
            if (!described) fail_msg("%s %s: %s is not described", method, asked, code);
            const json_t *schema =
                json_object_get(json_object_get(json_object_get(described, "content"), "application/json"), "schema");
            json_t *value = schema ? json_loads(reply.body, JSON_ALLOW_NUL, NULL) : NULL, *name;
            size_t i;
            json_array_foreach (json_object_get(schema, "required"), i, name)
                if (!json_object_get(value, json_string_value(name)))
                    fail_msg("%s %s: \"%s\" is missing", method, asked, json_string_value(name));
            json_decref(value);
            http_reply_free(&reply);
            n++;
        }
    }
    assert_in_range(n, 15, 100);
    json_decref(about);
}

/* What never began is not told as something that runs. */
static void jobs_that_cannot_begin_do_not_run(void **state) {
    (void)state;
    struct fathom_server_options options = options_of();
    fathom_server *lame = NULL;
    options.program = scratch("no-such-program");
    options.data = scratch("lame-data");
    check_ok(fathom_server_open(&lame, &options));
    json_decref(ask_at(fathom_server_port(lame), "POST", "/api/jobs", NULL, "{\"command\": \"eval\"}", 500));
    json_t *reply = ask_at(fathom_server_port(lame), "GET", "/api/jobs", NULL, NULL, 200);
    assert_string_equal(text_at(reply, "jobs.0.state"), "stopped");
    json_decref(reply);
    fathom_server_close(lame);
}

/* Probes and monitors ------------------------------------------------------------------------------------ */

enum { PROBE_TEXTS = 24 };

/* Texts of two kinds: about water, and not. */
static void make_texts(struct fathom_texts *texts, const char *begin) {
    static const char *const endings[] = {"in spring", "at noon", "by night", "once more", "all day", "in the rain",
                                          "alone",     "again",   "at last",  "too late",  "now",     "with a dog"};
    for (int i = 0; i < PROBE_TEXTS; i++) {
        char text[96];
        snprintf(text, sizeof text, "%s %s %s", begin, i % 2 ? "the river ran over the sea" : "a cat sat on the mat",
                 endings[i / 2]);
        check_ok(fathom_texts_append(texts, text, strlen(text), i % 2 ? FATHOM_LABEL_POSITIVE : FATHOM_LABEL_NEGATIVE));
    }
}

static fathom_probe *make_probe(const char *name, enum fathom_pool pool) {
    const struct fathom_probe_options options = {.hook = HOOK, .pool = pool, .regularisation = 1.0, .seed = 1};
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    fathom_probe *probe = NULL;
    char path[512];
    make_texts(&texts, "then");
    check_ok(fathom_probe_train(&probe, model, &texts, &options));
    snprintf(path, sizeof path, "%s/probes", scratch("data"));
    check_ok(fathom__make_folders(path));
    snprintf(path, sizeof path, "%s/probes/%s.gguf", scratch("data"), name);
    check_ok(fathom_probe_write(probe, path));
    fathom_texts_free(&texts);
    return probe;
}

/* {"texts": […], …members} */
static char *request_of(const struct fathom_texts *texts, const char *members) {
    json_t *list = json_array(), *request = json_loads(members, 0, NULL);
    assert_non_null(request);
    for (size_t i = 0; i < texts->n; i++)
        json_array_append_new(list, json_string(texts->texts[i]));
    json_object_set_new(request, "texts", list);
    char *text = json_dumps(request, 0);
    json_decref(request);
    return text;
}

static void probes_score_as_they_were_trained(void **state) {
    (void)state;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    make_texts(&texts, "and");
    for (int pool = FATHOM_POOL_MEAN; pool <= FATHOM_POOL_LAST; pool++) {
        fathom_probe *probe = make_probe(pool ? "last" : "mean", (enum fathom_pool)pool);
        double scores[PROBE_TEXTS];
        check_ok(fathom_probe_score(scores, probe, model, &texts));
        char *body = request_of(&texts, "{}");
        json_t *reply = ask("POST", pool ? "/api/probes/last/apply" : "/api/probes/mean/apply", body, 200);
        long long alerts = 0;
        for (size_t i = 0; i < texts.n; i++) {
            const json_t *text = json_array_get(at(reply, "texts"), i);
            assert_true(fabs(json_real_value(at(text, "score")) - scores[i]) < 0.02);
            assert_int_equal(json_is_true(at(text, "alert")),
                             json_real_value(at(text, "score")) >= fathom_probe_describe(probe)->threshold);
            alerts += json_is_true(at(text, "alert"));
        }
        assert_int_equal(number_at(reply, "alerts"), alerts);
        assert_in_range(alerts, 1, PROBE_TEXTS - 1);
        json_decref(reply);
        free(body);
        fathom_probe_close(probe);
    }
    fathom_texts_free(&texts);
    char path[512];
    snprintf(path, sizeof path, "%s/probes/broken.gguf", scratch("data"));
    check_ok(fathom__file_write(path, "x", 1));
    json_t *list = ask("GET", "/api/probes", NULL, 200);
    assert_int_equal(json_array_size(at(list, "probes")), 3);
    assert_non_null(strstr(text_at(list, "probes.0.trouble"), "broken.gguf"));
    assert_string_equal(text_at(list, "probes.1.probe"), "last");
    assert_string_equal(text_at(list, "probes.2.pool"), "mean");
    assert_string_equal(text_at(list, "probes.2.hook"), HOOK);
    json_decref(list);
    refuses("POST", "/api/probes/none/apply", "{\"texts\": [\"a\"]}", 404, "none");
    refuses("POST", "/api/probes/%2e%2e%2ftoy/apply", "{\"texts\": [\"a\"]}", 404, "there is no");
    refuses("POST", "/api/probes/mean/apply", "{\"texts\": []}", 400, "texts");
    refuses("POST", "/api/probes/mean/apply", "{\"texts\": [5]}", 400, "texts");
    refuses("POST", "/api/probes/mean/apply", "{}", 400, "texts");
}

struct expected {
    const json_t *reply;
    size_t n_watches, n_texts;
};

static int compare_reading(const struct fathom_reading *reading, void *payload) {
    struct expected *expected = payload;
    const json_t *text = json_array_get(at(expected->reply, "texts"), reading->text);
    assert_int_equal(json_array_size(at(text, "tokens")), reading->n_tokens);
    for (size_t w = 0; w < expected->n_watches; w++) {
        assert_true(fabs(json_number_value(json_array_get(at(text, "levels"), w)) - reading->document[w]) < 0.02);
        assert_int_equal(json_is_true(json_array_get(at(text, "alerts"), w)), reading->alerts[w]);
        for (size_t t = 1; t < reading->n_tokens; t++)
            assert_true(fabs(json_number_value(json_array_get(at(json_array_get(at(text, "tokens"), t), "levels"), w)) -
                             (double)reading->levels[w * reading->n_tokens + t]) < 0.02);
    }
    assert_int_equal(json_is_true(at(text, "alert")), reading->alert);
    expected->n_texts++;
    return 0;
}

/* Every level and alert is what `fathom watch` has, which reads the texts by itself. */
static void monitors_read_texts(void **state) {
    (void)state;
    struct fathom_texts texts = FATHOM_TEXTS_INIT;
    fathom_probe *probe = make_probe("mean", FATHOM_POOL_MEAN);
    fathom_monitor *monitor = NULL;
    make_texts(&texts, "so");
    const struct fathom_watch watches[] = {
        {.dictionary = dictionary, .feature = 2, .above = 0.4},
        {.dictionary = dictionary, .feature = 5, .above = 0.1, .window = 3},
        {.probe = probe, .above = fathom_probe_describe(probe)->threshold, .window = FATHOM_WINDOW_DOCUMENT}};
    char *body = request_of(&texts, "{\"features\": 2, \"watch\": [{\"feature\": 2, \"above\": 0.4}, {\"feature\": 5, "
                                    "\"above\": 0.1, \"window\": 3}, {\"probe\": \"mean\"}]}");
    json_t *reply = ask("POST", "/api/watch", body, 200);
    struct expected expected = {.reply = reply, .n_watches = 3};
    check_ok(fathom_monitor_open(&monitor, model));
    for (size_t i = 0; i < 3; i++)
        check_ok(fathom_monitor_add(monitor, &watches[i]));
    check_ok(fathom_monitor_run(monitor, &texts, compare_reading, &expected));
    assert_int_equal(expected.n_texts, PROBE_TEXTS);
    assert_int_equal(number_at(reply, "watch.1.window"), 3);
    assert_string_equal(text_at(reply, "watch.2.window"), "document");
    assert_string_equal(text_at(reply, "watch.2.hook"), HOOK);
    assert_true(json_array_size(at(reply, "texts.0.tokens.3.features")) <= 2);
    json_decref(reply);
    free(body);
    fathom_monitor_close(monitor);
    fathom_probe_close(probe);
    fathom_texts_free(&texts);
    /* A probe colours an answer's tokens too. */
    reply = ask("POST", "/v1/chat/completions", CHAT(", \"watch\": [{\"probe\": \"mean\"}, 2]"), 200);
    assert_string_equal(text_at(reply, "watch.0.probe"), "mean");
    assert_true(json_is_real(at(reply, "choices.0.tokens.0.levels.0")));
    json_decref(reply);
    refuses("POST", "/api/watch", "{\"texts\": [\"a\"], \"watch\": []}", 400, "watch");
    refuses("POST", "/api/watch", "{\"texts\": [\"a\"], \"watch\": [2]}", 400, "above");
    refuses("POST", "/api/watch", "{\"texts\": [\"a\"], \"watch\": [{\"probe\": \"none\"}]}", 404, "none");
    refuses("POST", "/api/watch", "{\"texts\": [\"a\"], \"watch\": [{\"probe\": \"../toy\"}]}", 400, "no name");
    refuses("POST", "/api/watch", "{\"texts\": [\"a\"], \"watch\": [{\"probe\": \"mean\", \"feature\": 1}]}", 400,
            "one of");
    refuses("POST", "/api/watch", "{\"texts\": [\"a\"], \"watch\": [{\"probe\": \"mean\", \"window\": 0}]}", 400,
            "window");
    refuses("POST", "/api/watch", "{\"texts\": \"a\", \"watch\": [{\"probe\": \"mean\"}]}", 400, "texts");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_routes),
        cmocka_unit_test(rows_are_embedded),
        cmocka_unit_test(features_are_told),
        cmocka_unit_test(features_have_places),
        cmocka_unit_test(answers_are_explained),
        cmocka_unit_test(jobs_are_refused_without_a_program),
        cmocka_unit_test(jobs_that_cannot_begin_do_not_run),
        cmocka_unit_test(probes_score_as_they_were_trained),
        cmocka_unit_test(monitors_read_texts),
        cmocka_unit_test(the_description_is_true),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
