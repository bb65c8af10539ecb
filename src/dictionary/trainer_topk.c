/* TopK: the k largest positive features of each row (Gao et al. 2024). */
#include <dictionary/trainer_internal.h>

static int choose(float *least, fathom_trainer *trainer) {
    (void)least;
    return fathom__trainer_topk(&trainer->main, trainer);
}

const struct fathom__architecture fathom__topk = {.name = "topk", .kind = "topk", .exact = true, .choose = choose};
