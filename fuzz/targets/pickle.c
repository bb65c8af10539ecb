/* Pickles of state dicts, as they lie in torch.save's archives. */
#include <base/error.h>
#include <base/pickle.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fathom__pickle *pickle = NULL;
    int status = fathom__pickle_read(&pickle, bytes, length, "input");
    FUZZ_CHECK(status);
    for (size_t i = 0; !status && i < fathom__pickle_count(pickle); i++)
        if (!fathom__pickle_at(pickle, i)->name) abort();
    fathom__pickle_close(pickle);
    return 0;
}
