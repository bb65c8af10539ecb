#include "report_style.h"
#include <base/buffer.h>
#include <base/error.h>
#include <base/file.h>
#include <base/utf8.h>
#include <fathom/explain.h>
#include <math.h>
#include <string.h>

enum { REPORT_LIMIT = 32 << 20, CHART_WIDTH = 720, CHART_HEIGHT = 170, CHART_LEFT = 40, CHART_BOTTOM = 24, CELL = 22 };

/* What the parts of the page need. Writing goes on after an error; the first one is kept. */
struct page {
    struct fathom__buffer out;
    int status;
    const fathom_explanation *explanation;
    const fathom_model *model;
    const fathom_catalogue *catalogue;
};

static void keep_status(struct page *page, int status) {
    if (page->status == FATHOM_OK) page->status = status;
}

static void put(struct page *page, const char *text) {
    keep_status(page, fathom__buffer_text(&page->out, text));
}

static void put_text(struct page *page, const char *bytes, size_t length) {
    char *clean = NULL;
    int status = fathom__utf8_clean(&clean, bytes, length);
    if (status == FATHOM_OK) status = fathom__buffer_html(&page->out, clean, strlen(clean));
    keep_status(page, status);
    fathom_free(clean);
}

#define put_format(page, ...) keep_status((page), fathom__buffer_format(&(page)->out, __VA_ARGS__))

static void put_token(struct page *page, int32_t token) {
    const char *bytes = NULL;
    size_t length = 0;
    int status = fathom_token_bytes(&bytes, &length, page->model, token);
    keep_status(page, status);
    if (status == FATHOM_OK && length == 1 && bytes[0] == '\n')
        put(page, "↵");
    else if (status == FATHOM_OK)
        put_text(page, bytes, length);
}

static void put_measure(struct page *page, const struct fathom_effect_measure *measure) {
    put_format(page, "<td class=\"n %s\">%+.2f</td>", measure->effect < 0 ? "lost" : "gained", measure->effect);
    put_format(page, "<td class=n>%.3g&nbsp;%%</td>", 100 * measure->probability);
    if (measure->n_controls == 0) {
        put(page, "<td class=\"n fails\">none</td><td class=fails>no control</td>");
        return;
    }
    put_format(page, "<td class=n>%+.2f ± %.2f</td>", measure->control, measure->control_deviation);
    put(page, measure->holds ? "<td class=holds>holds</td>" : "<td class=fails>does not stand out</td>");
}

/* The prompt with every token shaded by what erasing it does. */
static void put_prompt(struct page *page) {
    const fathom_explanation *e = page->explanation;
    double most = 0;
    for (size_t i = 0; i < e->n_tokens; i++)
        most = fmax(most, fabs(e->tokens[i].erased.effect));
    put(page, "<div class=\"card prompt\">");
    for (size_t i = 0; i < e->n_tokens; i++) {
        double level = most > 0 ? fabs(e->tokens[i].erased.effect) / most : 0;
        put_format(page, "<span class=token style=\"background:rgba(228,130,47,%.2f)\" title=\"erased: %+.2f nats\">",
                   0.6 * level, e->tokens[i].erased.effect);
        put_token(page, e->tokens[i].token);
        put(page, "</span>");
    }
    put(page, "<span class=answer>");
    for (size_t i = 0; i < e->n_answer; i++)
        put_token(page, e->answer[i]);
    put_format(
        page,
        "</span></div><p>p(answer) = %.3g %%, first token %.3g %%, rank %u. Shading: how much the answer loses or "
        "gains when that token's embedding is erased.</p>",
        100 * exp(e->log_probability), 100 * e->first_probability, e->first_rank + 1);
}

static void put_chart(struct page *page) {
    const fathom_explanation *e = page->explanation;
    double step = e->n_layers > 1 ? (double)(CHART_WIDTH - CHART_LEFT - 10) / (double)(e->n_layers - 1) : 0;
    double height = CHART_HEIGHT - CHART_BOTTOM - 8;
    put_format(
        page,
        "<svg viewBox=\"0 0 %d %d\" role=img aria-label=\"probability of the answer's first token after each layer\">",
        CHART_WIDTH, CHART_HEIGHT);
    for (int tick = 0; tick <= 4; tick++)
        put_format(page, "<line x1=%d x2=%d y1=%.1f y2=%.1f stroke=\"var(--line)\"/><text x=2 y=%.1f>%d %%</text>",
                   CHART_LEFT, CHART_WIDTH, 8 + height * (1 - tick / 4.0), 8 + height * (1 - tick / 4.0),
                   12 + height * (1 - tick / 4.0), 25 * tick);
    put(page, "<polyline fill=none stroke=\"var(--mark)\" stroke-width=2 points=\"");
    for (size_t l = 0; l < e->n_layers; l++)
        put_format(page, "%.1f,%.1f ", CHART_LEFT + step * (double)l,
                   8 + height * (1 - e->layers[l].reading.target_probability));
    put(page, "\"/>");
    for (size_t l = 0; l<e->n_layers; l += e->n_layers> 20 ? 5 : 2)
        put_format(page, "<text x=%.1f y=%d>%zu</text>", CHART_LEFT - 3 + step * (double)l, CHART_HEIGHT - 6, l);
    put(page, "</svg>");
}

static void put_layers(struct page *page) {
    const fathom_explanation *e = page->explanation;
    put(page, "<h2>What each layer would have said</h2><p>The residual stream after each layer at the last prompt "
              "token, read "
              "through the model's own final norm and unembedding (logit lens). Attention and MLP: how directly each "
              "wrote for "
              "the answer's first token, in logits against the vocabulary's mean. This part is a reading, not an "
              "intervention.</p>");
    put_chart(page);
    put(page, "<div class=scroll><table><tr><th class=n>layer<th>says<th class=n>p<th>then<th class=n>p(answer)<th "
              "class=n>rank<th "
              "class=n>attention<th class=n>MLP</tr>");
    for (size_t l = 0; l < e->n_layers; l++) {
        const struct fathom_explained_layer *layer = &e->layers[l];
        put_format(page, "<tr><td class=n>%d<td><code>", layer->layer);
        put_token(page, layer->reading.top[0].token);
        put_format(page, "</code><td class=n>%.1f %%<td>", 100 * layer->reading.top[0].probability);
        for (int i = 1; i < 4; i++) {
            put(page, "<code>");
            put_token(page, layer->reading.top[i].token);
            put(page, "</code> ");
        }
        put_format(page, "<td class=n>%.2g %%<td class=n>%u<td class=n>%+.2f<td class=n>%+.2f</tr>",
                   100 * layer->reading.target_probability, layer->reading.target_rank + 1, layer->attention,
                   layer->mlp);
    }
    put(page, "</table></div>");
}

static const char measure_columns[] =
    "<th class=n>effect, nats<th class=n>p(answer) then<th class=n>control<th>beside it</tr>";

static void put_tokens(struct page *page) {
    const fathom_explanation *e = page->explanation;
    put(page,
        "<h2>Which tokens carried it</h2><p>Erased: the token is replaced by four other tokens of "
        "the prompt in turn, at the embedding, and the effects averaged. Hidden: no "
        "later token may attend to it, at any layer. Effect: change of log p(answer). Control: the same done to other "
        "tokens of the prompt.</p><div class=scroll><table><tr><th>token<th>taken away by");
    put(page, measure_columns);
    for (size_t i = 0; i < e->n_tokens; i++) {
        put(page, "<tr><td><code>");
        put_token(page, e->tokens[i].token);
        put(page, "</code><td>erasing");
        put_measure(page, &e->tokens[i].erased);
        put(page, "</tr>");
        if (e->tokens[i].has_unseen) {
            put(page, "<tr><td><td>hiding");
            put_measure(page, &e->tokens[i].unseen);
            put(page, "</tr>");
        }
    }
    put(page, "</table></div>");
}

static void put_features(struct page *page, const fathom_dictionary *dictionary) {
    const fathom_explanation *e = page->explanation;
    if (dictionary == NULL) return;
    const struct fathom_dictionary_info *info = fathom_dictionary_describe(dictionary);
    put(page, "<h2>Which features carried it</h2><p>Features of <code>");
    put_text(page, info->name, strlen(info->name));
    put(page, "</code> at <code>");
    put_text(page, info->hook_in, strlen(info->hook_in));
    put_format(
        page,
        "</code>. Each of the %zu features active on the prompt was set to zero on all its rows, once; the strongest "
        "%zu "
        "are shown. Control: the same done to features of nearly the same size on this prompt. The dictionary explains "
        "%.1f %% of these rows' variance; taking away what it does not explain changes log p(answer) by %+.2f.</p>",
        e->n_features_measured, e->n_features, 100 * e->reconstruction_fve, e->error_effect);
    put(page, "<div class=scroll><table><tr><th class=n>feature<th>label<th>strongest on<th class=n>activation");
    put(page, measure_columns);
    for (size_t i = 0; i < e->n_features; i++) {
        const struct fathom_explained_feature *feature = &e->features[i];
        const struct fathom_feature *known =
            page->catalogue != NULL ? fathom_catalogue_feature(page->catalogue, feature->feature) : NULL;
        put_format(page, "<tr><td class=n>%u<td>", feature->feature);
        if (known != NULL && known->label != NULL) {
            put_text(page, known->label, strlen(known->label));
            if (isfinite(known->label_score))
                put_format(page, " <span class=faint>(%.2f)</span>", (double)known->label_score);
        } else {
            put(page, "<span class=faint>no label holds</span>");
        }
        put(page, "<td><code>");
        put_token(page, e->prompt[feature->position]);
        put_format(page, "</code><td class=n>%.2f", (double)feature->activation);
        put_measure(page, &feature->ablated);
        put(page, "</tr>");
    }
    put(page, "</table></div>");
}

static void put_patching(struct page *page, const struct fathom_patching *patching) {
    if (patching == NULL) return;
    const fathom_explanation *e = page->explanation;
    int left = 34, top = 8;
    int width = left + CELL * (int)patching->n_positions, height = top + CELL * (int)patching->n_layers + 60;
    put_format(page,
               "<h2>Where it is carried</h2><p>The residual stream of this prompt put into the run of another prompt, "
               "one layer "
               "and token at a time: share of the answer's log probability that comes back (%.2f after this prompt, "
               "%.2f after "
               "the other).</p><div class=scroll><svg viewBox=\"0 0 %d %d\" style=\"min-width:%dpx\" role=img "
               "aria-label=\"activation patching by layer and token\">",
               patching->clean, patching->corrupt, width, height, width);
    for (size_t l = 0; l < patching->n_layers; l++) {
        /* The last layer on top, as the stream flows upwards. */
        int y = top + CELL * (int)(patching->n_layers - 1 - l);
        put_format(page, "<text x=4 y=%d>%zu</text>", y + 15, l);
        for (size_t p = 0; p < patching->n_positions; p++) {
            double value = patching->recovered[l * patching->n_positions + p];
            double level = fmin(1, fabs(value));
            put_format(page,
                       "<rect x=%d y=%d width=%d height=%d fill=\"%s\" fill-opacity=%.2f stroke=\"var(--line)\" "
                       "stroke-width=.5><title>layer %zu: %.2f</title></rect>",
                       left + CELL * (int)p, y, CELL, CELL, value >= 0 ? "#e4822f" : "#3566b8", level, l, value);
        }
    }
    for (size_t p = 0; p < patching->n_positions && p < e->n_prompt; p++) {
        int x = left + CELL * (int)p + 14, y = top + CELL * (int)patching->n_layers + 8;
        put_format(page, "<text transform=\"translate(%d,%d) rotate(60)\">", x - 6, y);
        put_token(page, e->prompt[p]);
        put(page, "</text>");
    }
    put(page, "</svg></div>");
}

static void put_provenance(struct page *page, const fathom_dictionary *dictionary, const char *command) {
    const struct fathom_model_info *info = fathom_model_describe(page->model);
    put(page, "<h2>How this was made</h2><table><tr><td>model<td>");
    put_text(page, info->name, strlen(info->name));
    put_format(page, " <code>%s</code><tr><td>engine<td>%s; 32-bit cache, no flash attention", info->identity,
               info->engine);
    if (dictionary != NULL) {
        const struct fathom_dictionary_info *d = fathom_dictionary_describe(dictionary);
        put(page, "<tr><td>dictionary<td>");
        put_text(page, d->name, strlen(d->name));
        put_format(page, ", %s, %u features", d->architecture, d->n_features);
    }
    put_format(page, "<tr><td>Fathom<td>%s, seed %llu", fathom_version(), (unsigned long long)page->explanation->seed);
    if (command != NULL) {
        put(page, "<tr><td>command<td><code>");
        put_text(page, command, strlen(command));
        put(page, "</code>");
    }
    put_format(page,
               "</table><p class=faint>A claim holds when its effect is at least %.2f nats and larger than the "
               "controls' mean by "
               "two of their standard deviations. It says what this model does on this prompt, not what is true.</p>",
               FATHOM_EXPLAIN_LEAST);
}

int fathom_report_write(const char *path, const fathom_explanation *explanation, const fathom_model *model,
                        const fathom_dictionary *dictionary, const fathom_catalogue *catalogue,
                        const struct fathom_patching *patching, const char *command) {
    struct page page = {
        .out = FATHOM__BUFFER_INIT(REPORT_LIMIT), .explanation = explanation, .model = model, .catalogue = catalogue};
    put(&page, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
               "content=\"width=device-width\"><title>Why did "
               "it say that?</title><style>");
    put(&page, report_style);
    put(&page, "</style><h1>Why did it say that?</h1><p class=faint>");
    const char *name = fathom_model_describe(model)->name;
    put_text(&page, name, strlen(name));
    put(&page, " was given the words below and went on with the coloured ones.</p>");
    put_prompt(&page);
    put_layers(&page);
    put_features(&page, dictionary);
    put_tokens(&page);
    put_patching(&page, patching);
    put_provenance(&page, dictionary, command);
    put(&page, "</html>\n");
    if (page.status == FATHOM_OK) page.status = fathom__file_write(path, page.out.bytes, page.out.length);
    fathom__buffer_free(&page.out);
    return page.status;
}
