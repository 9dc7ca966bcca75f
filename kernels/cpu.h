/* What this CPU has and its operating system lets programs use, by LLVM's names of features.

Sources: Intel, "Software Developer's Manual", volume 1, chapters 13 to 15, and CPUID in volume 2; AMD, "Programmer's Manual",
volume 3, appendix E. Compilers' own detection is not used: zig's always answers no. */
#ifndef FASTMLP_CPU_H
#define FASTMLP_CPU_H

#if defined(__x86_64__) || defined(_M_X64)

#ifdef _MSC_VER
#include <intrin.h>
#else
#include <cpuid.h>
#endif

enum { EAX, EBX, ECX, EDX };

static const struct {
    const char *name;
    unsigned leaf;
    int reg, bit;
} cpu_features[] = {
    {"fma", 1, ECX, 12},        {"movbe", 1, ECX, 22},    {"avx", 1, ECX, 28},      {"f16c", 1, ECX, 29},
    {"bmi", 7, EBX, 3},         {"avx2", 7, EBX, 5},      {"bmi2", 7, EBX, 8},      {"avx512f", 7, EBX, 16},
    {"avx512dq", 7, EBX, 17},   {"avx512cd", 7, EBX, 28}, {"avx512bw", 7, EBX, 30}, {"avx512vl", 7, EBX, 31},
    {"lzcnt", 0x80000001u, ECX, 5},
};
#define CPU_FEATURES ((int)(sizeof cpu_features / sizeof cpu_features[0]))

static unsigned cpuid(unsigned leaf, int reg)
{
#ifdef _MSC_VER
    int r[4];
    __cpuidex(r, (int)leaf, 0);
#else
    unsigned r[4];
    __cpuid_count(leaf, 0, r[EAX], r[EBX], r[ECX], r[EDX]);
#endif
    return (unsigned)r[reg];
}

/* The register state that the operating system saves: bits 1 and 2 for xmm and ymm, 5 to 7 for masks and zmm. */
static unsigned saved_state(void)
{
    if (!(cpuid(1, ECX) >> 27 & 1)) /* OSXSAVE */
        return 0;
#ifdef _MSC_VER
    return (unsigned)_xgetbv(0);
#else
    unsigned low, high;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0)); /* xgetbv */
    return low;
#endif
}

static int cpu_has(int feature)
{
    const char *name = cpu_features[feature].name;
    unsigned leaf = cpu_features[feature].leaf, needed = 0;
    if (name[0] == 'a' || name[0] == 'f') /* avx..., fma, f16c */
        needed = 0x06;
#ifndef __APPLE__ /* which saves zmm from a thread's first use on, and does not announce it */
    if (name[0] == 'a' && name[3] == '5')
        needed = 0xe6;
#endif
    return leaf <= cpuid(leaf & 0x80000000u, EAX) && (cpuid(leaf, cpu_features[feature].reg) >> cpu_features[feature].bit & 1) &&
           (saved_state() & needed) == needed;
}

#else

#define CPU_FEATURES 0
static const struct {
    const char *name;
} cpu_features[1];

static int cpu_has(int feature)
{
    return feature < 0;
}

#endif
#endif
