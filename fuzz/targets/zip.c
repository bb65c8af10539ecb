/* Zip archives, such as Python wheels. */
#include <base/error.h>
#include <base/zip_member.h>
#include <fuzz/target.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct fathom__writer out;
    if (fathom__writer_open(&out, scratch("member"))) return 0;
    FUZZ_CHECK(fathom__zip_member(&out, scratch_file("input.zip", bytes, length), "package/model.bin"));
    fathom__writer_discard(&out);
    return 0;
}
