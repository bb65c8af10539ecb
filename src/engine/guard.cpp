/* The one C++ file: exceptions of the engine and of its Jinja renderer end here. */
#include "engine/guard.h"

#include <cstring>
#include <exception>
#include <new>
#include <string>

extern "C" {
#include "base/error.h"
#include "base/memory.h"
#include "engine/log.h"
}

#ifdef FATHOM_HAVE_JINJA
#include <common/jinja/lexer.h>
#include <common/jinja/parser.h>
#include <common/jinja/runtime.h>
#include <common/jinja/value.h>
#endif

namespace {

/* Runs `work`; an exception becomes a status whose message says what was being done. */
template <typename Work> int guarded(const char *doing, Work work) noexcept {
    try {
        return work();
    } catch (const std::bad_alloc &) {
        return fathom__fail(FATHOM_ERROR_MEMORY, "%s: out of memory", doing);
    } catch (const std::exception &error) {
        return fathom__fail(FATHOM_ERROR_ENGINE, "%s: %s", doing, error.what());
    } catch (...) {
        return fathom__fail(FATHOM_ERROR_ENGINE, "%s: unknown exception", doing);
    }
}

} // namespace

int fathom__guard_model_load(struct llama_model **out, const char **paths, size_t n, struct llama_model_params params) {
    fathom__engine_log_clear();
    return guarded(paths[0], [&] {
        /* The engine follows split files by itself only from their usual names: a list of parts needs no such names. */
        struct llama_model *model =
            n == 1 ? llama_model_load_from_file(paths[0], params) : llama_model_load_from_splits(paths, n, params);
        if (model == nullptr)
            return fathom__engine_fail(FATHOM_ERROR_ENGINE, "%s: the engine cannot load this model", paths[0]);
        *out = model;
        return static_cast<int>(FATHOM_OK);
    });
}

int fathom__guard_context_init(struct llama_context **out, struct llama_model *model,
                               struct llama_context_params params) {
    fathom__engine_log_clear();
    return guarded("making a context", [&] {
        struct llama_context *context = llama_init_from_model(model, params);
        if (context == nullptr) {
            const bool full = strstr(fathom__engine_log_text(), "insufficient memory") != nullptr ||
                              strstr(fathom__engine_log_text(), "failed to allocate") != nullptr;
            return fathom__engine_fail(full ? FATHOM_ERROR_MEMORY : FATHOM_ERROR_ENGINE,
                                       "the engine cannot make a context");
        }
        *out = context;
        return static_cast<int>(FATHOM_OK);
    });
}

int fathom__guard_decode(int32_t *result, struct llama_context *context, struct llama_batch batch) {
    fathom__engine_log_clear();
    return guarded("decoding", [&] {
        *result = llama_decode(context, batch);
        return static_cast<int>(FATHOM_OK);
    });
}

int fathom__guard_adapter_load(struct llama_adapter_lora **out, struct llama_model *model, const char *path) {
    fathom__engine_log_clear();
    return guarded(path, [&] {
        struct llama_adapter_lora *adapter = llama_adapter_lora_init(model, path);
        if (adapter == nullptr)
            return fathom__engine_fail(FATHOM_ERROR_ENGINE, "%s: the engine cannot load this adapter", path);
        *out = adapter;
        return static_cast<int>(FATHOM_OK);
    });
}

int fathom__guard_tokenize(int32_t *n, const struct llama_vocab *vocab, const char *text, int32_t length,
                           llama_token *tokens, int32_t capacity, bool add_special, bool parse_special) {
    fathom__engine_log_clear();
    return guarded("tokenising", [&] {
        *n = llama_tokenize(vocab, text, length, tokens, capacity, add_special, parse_special);
        return static_cast<int>(FATHOM_OK);
    });
}

int fathom__guard_grammar(struct llama_sampler **out, const struct llama_vocab *vocab, const char *grammar) {
    fathom__engine_log_clear();
    return guarded("reading a grammar", [&] {
        struct llama_sampler *sampler = llama_sampler_init_grammar(vocab, grammar, "root");
        if (sampler == nullptr) return fathom__engine_fail(FATHOM_ERROR_FORMAT, "the grammar cannot be read");
        *out = sampler;
        return static_cast<int>(FATHOM_OK);
    });
}

int fathom__guard_sampler_apply(struct llama_sampler *sampler, llama_token_data_array *candidates) {
    return guarded("applying a grammar", [&] {
        llama_sampler_apply(sampler, candidates);
        return static_cast<int>(FATHOM_OK);
    });
}

int fathom__guard_sampler_accept(struct llama_sampler *sampler, llama_token token) {
    return guarded("following a grammar", [&] {
        llama_sampler_accept(sampler, token);
        return static_cast<int>(FATHOM_OK);
    });
}

#ifdef FATHOM_HAVE_JINJA

namespace {

constexpr char newline_sign[] = "\u21B5"; /* the renderer's sign for a newline in what it quotes */

std::string line_prefix(const std::string &source, size_t position) {
    size_t line = 1;
    for (size_t i = 0; i < position && i < source.size(); i++)
        line += source[i] == '\n';
    return "line " + std::to_string(line) + ": ";
}

/* Lexer and parser quote the source around an error, "…\n...QUOTE...\n" and a caret below it: where the quote stands tells the line. */
std::string line_of_quote(const std::string &source, const std::string &text) {
    const size_t start = text.find("\n..."), end = text.rfind("...\n"), caret = text.rfind('^');
    if (start == std::string::npos || end == std::string::npos || caret == std::string::npos || end < start + 4)
        return "";
    std::string quote = text.substr(start + 4, end - start - 4);
    for (size_t at; (at = quote.find(newline_sign)) != std::string::npos;)
        quote.replace(at, strlen(newline_sign), "\n");
    const size_t found = source.find(quote), below = caret - (end + 4);
    return found == std::string::npos || below < 3 ? "" : line_prefix(source, found + below - 3);
}

/* Errors while running read "… at line L, column C …\n… quote …\nError: MESSAGE", all others "TAG: MESSAGE\n… quote …". One line is kept. */
std::string one_line(const std::string &source, const std::string &text) {
    std::string line, message;
    const size_t error = text.rfind("\nError: "), at = text.find(" at line ");
    if (error != std::string::npos && at != std::string::npos) {
        const size_t digits = at + strlen(" at line ");
        line = "line " + text.substr(digits, text.find_first_not_of("0123456789", digits) - digits) + ": ";
        message = text.substr(error + strlen("\nError: "));
    } else {
        line = line_of_quote(source, text);
        message = text.substr(0, text.find('\n'));
    }
    for (const char *tag : {"Jinja Exception: ", "lexer: ", "parser: ", "Parser Error: "}) {
        if (message.compare(0, strlen(tag), tag) == 0) message.erase(0, strlen(tag));
    }
    for (char &c : message) {
        if (c == '\n' || c == '\r') c = ' ';
    }
    return line + message;
}

jinja::value text_value(const char *text) {
    return jinja::mk_val<jinja::value_string>(std::string(text));
}

jinja::value value_of(const json_t *json) {
    switch (json != nullptr ? json_typeof(json) : JSON_NULL) {
    case JSON_TRUE: return jinja::mk_val<jinja::value_bool>(true);
    case JSON_FALSE: return jinja::mk_val<jinja::value_bool>(false);
    case JSON_INTEGER: return jinja::mk_val<jinja::value_int>(static_cast<int64_t>(json_integer_value(json)));
    case JSON_REAL: return jinja::mk_val<jinja::value_float>(json_real_value(json));
    case JSON_STRING:
        return jinja::mk_val<jinja::value_string>(std::string(json_string_value(json), json_string_length(json)));
    case JSON_ARRAY: {
        auto list = jinja::mk_val<jinja::value_array>();
        for (size_t i = 0; i < json_array_size(json); i++)
            list->push_back(value_of(json_array_get(json, i)));
        return list;
    }
    case JSON_OBJECT: {
        auto object = jinja::mk_val<jinja::value_object>();
        json_t *source = const_cast<json_t *>(json);
        for (void *at = json_object_iter(source); at != nullptr; at = json_object_iter_next(source, at))
            object->insert(json_object_iter_key(at), value_of(json_object_iter_value(at)));
        return object;
    }
    default: return jinja::mk_val<jinja::value_none>();
    }
}

std::string render(const char *source, const char *bos, const char *eos, const json_t *messages, const json_t *tools,
                   bool add_generation_prompt) {
    jinja::lexer lexer;
    const jinja::program program = jinja::parse_from_tokens(lexer.tokenize(source));
    jinja::context context(source);
    /* transformers always passes these; tools and documents are None where there are none. */
    context.set_val("messages", value_of(messages));
    context.set_val("tools", value_of(tools));
    context.set_val("documents", jinja::mk_val<jinja::value_none>());
    context.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(add_generation_prompt));
    if (bos != nullptr) context.set_val("bos_token", text_value(bos));
    if (eos != nullptr) context.set_val("eos_token", text_value(eos));
    jinja::runtime runtime(context);
    const jinja::value results = runtime.execute(program);
    return jinja::runtime::gather_string_parts(results)->as_string().str();
}

} // namespace

int fathom__guard_render_chat(char **out, const char *name, const char *chat_template, const char *bos, const char *eos,
                              const json_t *messages, const json_t *tools, bool add_generation_prompt) {
    return guarded(name, [&] {
        try {
            const std::string text = render(chat_template, bos, eos, messages, tools, add_generation_prompt);
            return fathom__copy_bytes(out, text.data(), text.size());
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &error) {
            /* While running, the renderer turns every exception into one of its own. */
            if (strstr(error.what(), std::bad_alloc().what()) != nullptr)
                return fathom__fail(FATHOM_ERROR_LIMIT, "%s: chat template: out of memory", name);
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: chat template: %s", name,
                                one_line(chat_template, error.what()).c_str());
        }
    });
}

#else

int fathom__guard_render_chat(char **out, const char *name, const char *chat_template, const char *bos, const char *eos,
                              const json_t *messages, const json_t *tools, bool add_generation_prompt) {
    (void)out, (void)chat_template, (void)bos, (void)eos, (void)messages, (void)tools, (void)add_generation_prompt;
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: this build of Fathom has no chat template renderer", name);
}

#endif
