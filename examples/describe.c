/* Prints what a model is: the smallest program that uses libfathom.
 *
 *   cc describe.c $(pkg-config --cflags --libs fathom) -o describe && ./describe model.gguf
 */
#include <fathom/fathom.h>
#include <stdio.h>

int main(int argc, char **argv) {
    fathom_model *model = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL\n", argv[0]);
        return 2;
    }
    if (fathom_model_open(&model, argv[1], NULL) != FATHOM_OK) {
        fprintf(stderr, "%s\n", fathom_error_message());
        return 1;
    }
    const struct fathom_model_info *info = fathom_model_describe(model);
    printf("name          %s\n", info->name);
    printf("architecture  %s\n", info->architecture);
    printf("quantisation  %s\n", info->quantisation);
    printf("layers        %u\n", info->n_layers);
    printf("width         %u\n", info->d_model);
    printf("vocabulary    %u\n", info->n_vocab);
    printf("identity      %s\n", info->identity);
    fathom_model_close(model);
    return 0;
}
