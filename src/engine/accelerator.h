/* A ggml backend of our own for the CPU: the products, norms, rotations and attention of a transformer in bf16 on
 * oneDNN, for runs over thousands of rows (harvest).
 *
 * It is registered once with the engine and refuses every operation unless the calling thread has an accelerator
 * in use, so that other contexts, on the same thread or elsewhere, compute exactly as without it. What it does not
 * handle (an operation, a type, a layout) the engine's own CPU backend computes, within the same graph.
 */
#ifndef FATHOM_ENGINE_ACCELERATOR_H
#define FATHOM_ENGINE_ACCELERATOR_H

#include <stdbool.h>
#ifdef FATHOM_HAVE_DNNL
#include <oneapi/dnnl/dnnl_version.h>
#endif

/* It needs oneDNN (of its second generation) and the headers for writing a ggml backend; elsewhere there is none. */
#if defined(FATHOM_HAVE_DNNL) && defined(FATHOM_HAVE_GGML_INTERNAL)
#define FATHOM__ACCELERATOR (DNNL_VERSION_MAJOR == 2)
#else
#define FATHOM__ACCELERATOR 0
#endif

/* Weights in the product's own layout, shared by all contexts that were opened while it was in use. */
typedef struct fathom__accelerator fathom__accelerator;

/* Registers the backend with the engine; must come before any context is opened, calls after the first do nothing.
 * Whether there is one in this build and the machine multiplies bf16 in hardware. */
bool fathom__accelerator_register(void);

int fathom__accelerator_open(fathom__accelerator **out); /* UNSUPPORTED where register said false, MEMORY */
/* Its contexts and models must be closed before: packed weights are known by the address they came from. */
void fathom__accelerator_close(fathom__accelerator *accelerator);

/* Contexts that the calling thread opens and decodes from now on compute with it; NULL: none. A context that was opened
 * with an accelerator must be decoded with the same one, on one thread at a time. */
void fathom__accelerator_use(fathom__accelerator *accelerator);
bool fathom__accelerator_in_use(void); /* by the calling thread */

#endif
