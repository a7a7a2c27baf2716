/* Linux lets a process use AMX's tiles once it has asked for them: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA). */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "vector.h"

#ifdef HAS_AMX
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
#endif

__attribute__((visibility("default"))) int permitted(void);

/* Whether this process may run the kernels of this library; asks for what it takes. */
int permitted(void)
{
#ifdef HAS_AMX
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
#else
    return 1;
#endif
}
