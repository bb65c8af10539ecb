/* Options that a model's preset gives where the command line does not. */
#ifndef FATHOM_CLI_PRESET_H
#define FATHOM_CLI_PRESET_H

#include "cli.h"

#define CLI_OPTION_PRESET                                                                                              \
    {                                                                                                                  \
        "preset", 0, CLI_TEXT, "NAME", "take what is not given here from the model's preset, such as golden-gate",     \
            false, false                                                                                               \
    }

/* Reads presets/NAME.json beside the model's dictionary, when --preset names one, and adds the options under the
 * command's name to the arguments, but for those that were given. Files in it are named relative to its own folder.
 * Prints what is wrong (file, key, what is expected); the exit status. */
int preset_apply(struct cli_arguments *arguments);

#endif
