/* What dispatch.py asks a library before it uses it. */
#include "custom_op.h"

__attribute__((visibility("default"))) int interface_version(void);

int interface_version(void) { return INTERFACE_VERSION; }
