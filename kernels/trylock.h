/* A flag that one thread at a time can take. C11's <stdatomic.h> is younger than some compilers in use. */
#ifndef FASTMLP_TRYLOCK_H
#define FASTMLP_TRYLOCK_H

typedef long Flag;

#ifdef _MSC_VER
#include <intrin.h>

static int flag_take(volatile Flag *flag)
{
    return _InterlockedExchange(flag, 1) == 0;
}

static void flag_give(volatile Flag *flag)
{
    _InterlockedExchange(flag, 0);
}

#else

static int flag_take(volatile Flag *flag)
{
    return __atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE) == 0;
}

static void flag_give(volatile Flag *flag)
{
    __atomic_store_n(flag, 0, __ATOMIC_RELEASE);
}

#endif
#endif
