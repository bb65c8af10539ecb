/* The table of architectures. */
#include <base/error.h>
#include <dictionary/trainer_internal.h>
#include <stdio.h>

static const struct fathom__architecture *const table[FATHOM_TRAIN_ARCHITECTURES] = {
    [FATHOM_TRAIN_TOPK] = &fathom__topk,
    [FATHOM_TRAIN_BATCHTOPK] = &fathom__batchtopk,
    [FATHOM_TRAIN_MATRYOSHKA] = &fathom__matryoshka,
    [FATHOM_TRAIN_STANDARD] = &fathom__standard,
    [FATHOM_TRAIN_GATED] = &fathom__gated,
    [FATHOM_TRAIN_JUMPRELU] = &fathom__jumprelu,
    [FATHOM_TRAIN_JUMPRELU_TANH] = &fathom__jumprelu_tanh,
};

const struct fathom__architecture *fathom__architecture(enum fathom_trainer_architecture architecture) {
    return (unsigned)architecture < FATHOM_TRAIN_ARCHITECTURES ? table[architecture] : NULL;
}

const char *fathom_trainer_architecture_name(enum fathom_trainer_architecture architecture) {
    const struct fathom__architecture *found = fathom__architecture(architecture);
    return found ? found->name : "";
}

int fathom_trainer_architecture_find(enum fathom_trainer_architecture *out, const char *name) {
    char names[256] = "";
    size_t length = 0;
    for (unsigned i = 0; i < FATHOM_TRAIN_ARCHITECTURES; i++) {
        if (strcmp(table[i]->name, name) == 0) {
            *out = (enum fathom_trainer_architecture)i;
            return 0;
        }
        length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i ? ", " : "", table[i]->name);
    }
    return fathom__fail(FATHOM_ERROR_ARGUMENT, "architecture \"%s\"; one of %s is expected", name, names);
}
