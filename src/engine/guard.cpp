/* The one C++ file: exceptions of the engine and of its Jinja renderer end here. */
#include "engine/guard.h"

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
        if (context == nullptr) return fathom__engine_fail(FATHOM_ERROR_ENGINE, "the engine cannot make a context");
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

#ifdef FATHOM_HAVE_JINJA

namespace {

/* The renderer's messages quote the source over several lines: "… at line L, column C …\nError: MESSAGE". One line is
 * kept. */
std::string one_line(const std::string &text) {
    std::string line, message = text;
    const size_t at = text.find("line ");
    if (at != std::string::npos) {
        const size_t end = text.find_first_not_of("0123456789", at + 5);
        if (end != at + 5) line = "line " + text.substr(at + 5, end == std::string::npos ? end : end - at - 5) + ": ";
    }
    const size_t error = text.rfind("Error: ");
    if (error != std::string::npos) message = text.substr(error + 7);
    const std::string raised = "Jinja Exception: ";
    if (message.compare(0, raised.size(), raised) == 0) message.erase(0, raised.size());
    for (char &c : message) {
        if (c == '\n' || c == '\r') c = ' ';
    }
    return line + message;
}

jinja::value text_value(const char *text) {
    return jinja::mk_val<jinja::value_string>(std::string(text));
}

std::string render(const char *source, const char *bos, const char *eos, const struct fathom_chat_message *messages,
                   size_t n, bool add_generation_prompt) {
    jinja::lexer lexer;
    const jinja::program program = jinja::parse_from_tokens(lexer.tokenize(source));
    jinja::context context(source);
    auto list = jinja::mk_val<jinja::value_array>();
    for (size_t i = 0; i < n; i++) {
        auto message = jinja::mk_val<jinja::value_object>();
        message->insert("role", text_value(messages[i].role));
        message->insert("content", text_value(messages[i].content));
        list->push_back(message);
    }
    /* transformers always passes these; tools and documents are None where there are none. */
    context.set_val("messages", list);
    context.set_val("tools", jinja::mk_val<jinja::value_none>());
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
                              const struct fathom_chat_message *messages, size_t n_messages,
                              bool add_generation_prompt) {
    return guarded(name, [&] {
        try {
            const std::string text = render(chat_template, bos, eos, messages, n_messages, add_generation_prompt);
            return fathom__copy_bytes(out, text.data(), text.size());
        } catch (const std::bad_alloc &) {
            throw;
        } catch (const std::exception &error) {
            return fathom__fail(FATHOM_ERROR_FORMAT, "%s: chat template: %s", name, one_line(error.what()).c_str());
        }
    });
}

#else

int fathom__guard_render_chat(char **out, const char *name, const char *chat_template, const char *bos, const char *eos,
                              const struct fathom_chat_message *messages, size_t n_messages,
                              bool add_generation_prompt) {
    (void)out, (void)chat_template, (void)bos, (void)eos, (void)messages, (void)n_messages, (void)add_generation_prompt;
    return fathom__fail(FATHOM_ERROR_UNSUPPORTED, "%s: this build of Fathom has no chat template renderer", name);
}

#endif
