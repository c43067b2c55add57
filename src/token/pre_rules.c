/* The patterns are those of the tokenizers' own publications, but for these changes,
 * none of which changes a match: case-insensitive groups are spelt out (Unicode case
 * folding would add U+017F and U+212A), intersections of classes are written as
 * complements, repetitions that never need to be taken back are possessive, and
 * counting digits from the right is a step of its own. White space is never part of a
 * range of ideographs or of punctuation. */
#include "token/pre_rules.h"

#include <string.h>

#include "base/mem.h"

#define CONTRACTION "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/* As in GPT-4 (cl100k), with `numbers` as the alternative for numbers. */
#define CL100K(numbers)                                                                            \
    "(?:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                                   \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
/* As in GPT-4o (o200k): words begin with upper case or go on in lower case. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K(contraction, numbers, newlines)                                                      \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" contraction "|[^\\r\\n\\p{L}\\p{N}]?" UPPER       \
    "+" LOWER "*" contraction "|" numbers "| ?[^\\s\\p{L}\\p{N}]+" newlines "*|" SPACES
#define MAYBE_CONTRACTION "(?:" CONTRACTION ")?"
#define ASCII_PUNCTUATION "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
/* Kimi: the letters of o200k without Han, which is a word of its own. */
#define UPPER_NOT_HAN "[^\\p{Ll}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{Han}]"
#define LOWER_NOT_HAN "[^\\p{Lu}\\p{Lt}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}\\p{Han}]"
/* The Basic Multilingual Plane from U+0800 to U+4E00 without its white space. */
#define IDEOGRAPHS                                                                                 \
    "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}"                \
    "\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{4E00}"                 \
    "\\x{AC00}-\\x{D7FF}]+"
#define KANA_AND_IDEOGRAPHS "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+"
/* Letters with case, as listed by DeepSeek. */
#define CASED                                                                                      \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}"                 \
    "\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}"         \
    "\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}"                  \
    "\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}"                       \
    "\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"                 \
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"                 \
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}"                 \
    "\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}"         \
    "\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}"        \
    "\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"                  \
    "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}"                   \
    "\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}"        \
    "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}"         \
    "\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"                  \
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}"                 \
    "\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}"               \
    "\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"         \
    "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"

static const struct pre_rules fallback = {
    {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}};
static const struct pre_rules gpt2 = {{GPT2}};
static const struct pre_rules llama3 = {{CL100K("\\p{N}{1,3}")}};
static const struct pre_rules jais2 = {
    {"(?:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
     "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)"
     "|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"}};
static const struct pre_rules qwen2 = {{CL100K("\\p{N}")}};
static const struct pre_rules qwen35 = {
    {"(?:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+"
     "[\\r\\n]*|" SPACES}};
static const struct pre_rules ufakzeka = {
    {"[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES}};
static const struct pre_rules laguna = {{"[^\\n]+|[\\n]+", CL100K("\\p{N}")}};
static const struct pre_rules minicpm5 = {{"\\p{N}{1,3}", CL100K("\\p{N}+")}};
static const struct pre_rules seed_coder = {
    {"(?:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+"
     "|" SPACES}};
static const struct pre_rules bailing = {
    {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}"
     "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}};
static const struct pre_rules exaone_moe = {
    {"(?:" CONTRACTION ")|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}"
     "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}};
static const struct pre_rules starcoder = {{"\\p{N}", GPT2}};
static const struct pre_rules falcon = {{"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}};
static const struct pre_rules deepseek_llm = {
    {"[\\r\\n]", "\\s?[" CASED "]+",
     "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3001}\\x{3002}]+",
     "(?<!\\s)\\s++\\z", IDEOGRAPHS, "\\p{N}+"}};
static const struct pre_rules deepseek_coder = {
    {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", IDEOGRAPHS, "\\p{N}"}};
static const struct pre_rules deepseek3 = {
    {"\\p{N}{1,3}", KANA_AND_IDEOGRAPHS,
     ASCII_PUNCTUATION "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"
                       "[\\r\\n]*|" SPACES}};
static const struct pre_rules spark = {
    {"\\p{N}{1,3}", KANA_AND_IDEOGRAPHS,
     ASCII_PUNCTUATION "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"
                       "|[\\r\\n]|\\s+(?!\\S)|\\s+",
     "\\p{N}"}};
static const struct pre_rules afmoe = {
    {PRE_DIGIT_GROUPS,
     "[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{F900}-\\x{FAFF}\\x{3040}-\\x{309F}"
     "\\x{30A0}-\\x{30FF}\\x{FF65}-\\x{FF9F}\\x{2F00}-\\x{2FDF}\\x{0E40}-\\x{0E7F}"
     "\\x{0E80}-\\x{0EFF}\\x{1780}-\\x{17FF}\\x{1000}-\\x{109F}\\x{AA60}-\\x{AA7F}"
     "\\x{A9E0}-\\x{A9FF}\\x{AC00}-\\x{D7AF}\\x{1100}-\\x{11FF}]+",
     ASCII_PUNCTUATION "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"
                       "[\\r\\n]*|" SPACES}};
static const struct pre_rules youtu = {
    {"[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}"
     "\\x{2019}\\x{2014}\\x{FF1A}\\x{FF1B}\\x{FF0C}\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+"
     "|[\\x{3105}-\\x{312F}]+|" KANA_AND_IDEOGRAPHS,
     O200K(MAYBE_CONTRACTION, "\\p{N}", "[\\r\\n/]")}};
static const struct pre_rules bloom = {
    {" ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"}};
static const struct pre_rules viking = {
    {" ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+", "\\p{N}"}};
static const struct pre_rules tekken = {{O200K("", "\\p{N}", "[\\r\\n/]")}};
static const struct pre_rules gpt4o = {{O200K(MAYBE_CONTRACTION, "\\p{N}{1,3}", "[\\r\\n/]")}};
static const struct pre_rules tiny_aya = {
    {PRE_DECIMAL_GROUPS, O200K(MAYBE_CONTRACTION, "\\p{N}{1,3}", "[\\r\\n/]")}};
static const struct pre_rules kimi = {
    {"\\p{Han}+|[^\\r\\n\\p{L}\\p{N}]?" UPPER_NOT_HAN "*" LOWER_NOT_HAN "+" MAYBE_CONTRACTION
     "|[^\\r\\n\\p{L}\\p{N}]?" UPPER_NOT_HAN "+" LOWER_NOT_HAN "*" MAYBE_CONTRACTION
     "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES}};
static const struct pre_rules superbpe = {{"\\p{N}+", PRE_DIGIT_GROUPS}};
static const struct pre_rules chameleon = {{"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z",
                                            "[\\t\\n]|    |  ", "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]",
                                            GPT2}};
static const struct pre_rules lines = {{"[^\\n]+|[\\n]+"}};

/* Where several names share rules, the first is the one written to files. */
static const struct pre_name names[] = {
    {.name = "default", .rules = &fallback},
    {.name = "gpt-2", .rules = &gpt2},
    {.name = "llama-bpe", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "qwen2", .rules = &qwen2},
    {.name = "qwen35", .rules = &qwen35},
    {.name = "deepseek-llm", .rules = &deepseek_llm},
    {.name = "deepseek-coder", .rules = &deepseek_coder},
    {.name = "deepseek-v3", .rules = &deepseek3},
    {.name = "starcoder", .rules = &starcoder},
    {.name = "falcon", .rules = &falcon},
    {.name = "gpt-4o", .rules = &gpt4o},
    {.name = "tekken", .rules = &tekken, .ignore_merges = true, .adds_bos = true},
    {.name = "dbrx", .rules = &llama3},
    {.name = "bloom", .rules = &bloom},
    {.name = "gemma4", .rules = &lines, .word_marks = true},
    {.name = "llama3", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "llama-v3", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "falcon3", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "falcon-h1", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "pixtral", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "midm-2.0", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "lfm2", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "jina-v5-nano", .rules = &llama3, .ignore_merges = true, .adds_bos = true},
    {.name = "minicpm5", .rules = &minicpm5, .ignore_merges = true},
    {.name = "smaug-bpe", .rules = &llama3},
    {.name = "glm4", .rules = &llama3, .no_bos = true},
    {.name = "chatglm-bpe", .rules = &llama3, .no_bos = true},
    {.name = "jais-2", .rules = &jais2},
    {.name = "jais", .rules = &gpt2},
    {.name = "mpt", .rules = &gpt2},
    {.name = "olmo", .rules = &gpt2},
    {.name = "phi-2", .rules = &gpt2},
    {.name = "jina-es", .rules = &gpt2},
    {.name = "jina-de", .rules = &gpt2},
    {.name = "jina-v2-es", .rules = &gpt2},
    {.name = "jina-v2-de", .rules = &gpt2},
    {.name = "gigachat", .rules = &gpt2},
    {.name = "a.x-4.0", .rules = &gpt2},
    {.name = "mellum", .rules = &gpt2},
    {.name = "modern-bert", .rules = &gpt2},
    {.name = "exaone4", .rules = &gpt2},
    {.name = "trillion", .rules = &gpt2},
    {.name = "granite-docling", .rules = &gpt2},
    {.name = "jina-v1-en", .rules = &gpt2, .adds_sep = true},
    {.name = "jina-v2-code", .rules = &gpt2, .adds_sep = true},
    {.name = "roberta-bpe", .rules = &gpt2, .adds_sep = true},
    {.name = "refact", .rules = &starcoder},
    {.name = "command-r", .rules = &starcoder},
    {.name = "smollm", .rules = &starcoder},
    {.name = "codeshell", .rules = &starcoder},
    {.name = "exaone", .rules = &starcoder},
    {.name = "minerva-7b", .rules = &starcoder},
    {.name = "mellum2", .rules = &starcoder},
    {.name = "stablelm2", .rules = &qwen2},
    {.name = "deepseek-r1-qwen", .rules = &qwen2},
    {.name = "kormo", .rules = &qwen2},
    {.name = "f2llmv2", .rules = &qwen2},
    {.name = "megrez", .rules = &qwen2},
    {.name = "hunyuan", .rules = &qwen2},
    {.name = "solar-open", .rules = &qwen2},
    {.name = "grok-2", .rules = &qwen2},
    {.name = "ufakzeka", .rules = &ufakzeka},
    {.name = "laguna", .rules = &laguna},
    {.name = "seed-coder", .rules = &seed_coder},
    {.name = "bailingmoe", .rules = &bailing},
    {.name = "bailingmoe2", .rules = &bailing},
    {.name = "llada-moe", .rules = &bailing},
    {.name = "exaone-moe", .rules = &exaone_moe},
    {.name = "hunyuan-dense", .rules = &deepseek3},
    {.name = "joyai-llm", .rules = &deepseek3},
    {.name = "hy_v4", .rules = &deepseek3},
    {.name = "spark2_5", .rules = &spark},
    {.name = "afmoe", .rules = &afmoe},
    {.name = "youtu", .rules = &youtu, .ignore_merges = true},
    {.name = "poro-chat", .rules = &bloom},
    {.name = "gpt3-finnish", .rules = &bloom},
    {.name = "viking", .rules = &viking},
    {.name = "llama4", .rules = &gpt4o},
    {.name = "kanana2", .rules = &gpt4o},
    {.name = "talkie", .rules = &gpt4o},
    {.name = "minimax-m2", .rules = &gpt4o},
    {.name = "o200k", .rules = &gpt4o},
    {.name = "granite-embed-multi-97m", .rules = &gpt4o, .ignore_merges = true},
    {.name = "granite-embed-multi-311m", .rules = &lines, .word_marks = true},
    {.name = "sarvam-moe", .rules = &lines, .word_marks = true},
    {.name = "tiny_aya", .rules = &tiny_aya},
    {.name = "cohere2moe", .rules = &tiny_aya},
    {.name = "kimi-k2", .rules = &kimi},
    {.name = "superbpe", .rules = &superbpe},
    {.name = "chameleon", .rules = &chameleon, .adds_bos = true},
};
enum { N_NAMES = sizeof names / sizeof *names };

const struct pre_name *pre_find(const char *name, size_t n) {
    for (size_t i = 0; i < N_NAMES; i++)
        if (strlen(names[i].name) == n && memcmp(names[i].name, name, n) == 0) return &names[i];
    return NULL;
}

/* ---- recognising patterns ---------------------------------------------------------- */

/* tokenizer.json files write contractions as a case-insensitive group. */
static bool same_pattern(const char *theirs, const char *ours) {
    static const char group[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)", spelt[] = "(?:" CONTRACTION ")";
    while (*theirs && *ours) {
        if (strncmp(theirs, group, sizeof group - 1) == 0 &&
            strncmp(ours, spelt, sizeof spelt - 1) == 0) {
            theirs += sizeof group - 1;
            ours += sizeof spelt - 1;
        } else if (*theirs++ != *ours++) {
            return false;
        }
    }
    return *theirs == *ours;
}

static bool same_rules(const struct pre_rules *rules, const char *const *patterns, size_t count) {
    size_t n = 0;
    while (n < PRE_MAX_STEPS && rules->patterns[n])
        n++;
    bool same = n == count;
    for (size_t i = 0; same && i < n; i++)
        same = same_pattern(patterns[i], rules->patterns[i]);
    return same;
}

const struct pre_name *pre_find_patterns(const char *const *patterns, size_t count,
                                         bool ignore_merges) {
    for (size_t i = 0; i < N_NAMES; i++)
        if (names[i].ignore_merges == ignore_merges && !names[i].word_marks &&
            same_rules(names[i].rules, patterns, count))
            return &names[i];
    return NULL;
}

hearth_status pre_add_steps(const struct pre_rules *rules, struct pretokenizer *p,
                            hearth_error *err) {
    for (size_t i = 0; i < PRE_MAX_STEPS && rules->patterns[i]; i++) {
        const char *pattern = rules->patterns[i];
        bool is_decimal = strcmp(pattern, PRE_DECIMAL_GROUPS) == 0;
        if (is_decimal || strcmp(pattern, PRE_DIGIT_GROUPS) == 0) {
            struct split_step step = {.kind = SPLIT_DIGIT_GROUPS, .decimal_words = is_decimal};
            RETURN_IF_ERROR(pretokenizer_add(p, &step, err));
        } else {
            RETURN_IF_ERROR(pretokenizer_add_regex(p, pattern, err));
        }
    }
    return HEARTH_OK;
}
