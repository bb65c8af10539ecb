/* Lists of hook points, as --hook and --hook-out have them. */
#ifndef FATHOM_CLI_HOOK_LIST_H
#define FATHOM_CLI_HOOK_LIST_H

/* A new list in which NAME.* is NAME of every layer of the model, from 0 on; the model is opened only where there is one.
 * fathom_free(*out). ARGUMENT (* elsewhere, or joined by +), the errors of fathom_model_open. */
int hook_list_expand(char **out, const char *list, const char *model_path);

#endif
