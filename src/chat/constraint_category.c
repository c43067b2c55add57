/* constraint_category.c - general categories of Unicode (UAX 44, section 5.7.1) as sets. */
#include <string.h>
#include <utf8proc.h>

#include "chat/constraint_regex.h"

/* Where a name ends in a category of utf8proc, or, of one letter, in all that begin with it. */
static const struct {
    const char *name, *longer;
} categories[] = {
    [UTF8PROC_CATEGORY_LU] = {"Lu", "Uppercase_Letter"},
    [UTF8PROC_CATEGORY_LL] = {"Ll", "Lowercase_Letter"},
    [UTF8PROC_CATEGORY_LT] = {"Lt", "Titlecase_Letter"},
    [UTF8PROC_CATEGORY_LM] = {"Lm", "Modifier_Letter"},
    [UTF8PROC_CATEGORY_LO] = {"Lo", "Other_Letter"},
    [UTF8PROC_CATEGORY_MN] = {"Mn", "Nonspacing_Mark"},
    [UTF8PROC_CATEGORY_MC] = {"Mc", "Spacing_Mark"},
    [UTF8PROC_CATEGORY_ME] = {"Me", "Enclosing_Mark"},
    [UTF8PROC_CATEGORY_ND] = {"Nd", "Decimal_Number"},
    [UTF8PROC_CATEGORY_NL] = {"Nl", "Letter_Number"},
    [UTF8PROC_CATEGORY_NO] = {"No", "Other_Number"},
    [UTF8PROC_CATEGORY_PC] = {"Pc", "Connector_Punctuation"},
    [UTF8PROC_CATEGORY_PD] = {"Pd", "Dash_Punctuation"},
    [UTF8PROC_CATEGORY_PS] = {"Ps", "Open_Punctuation"},
    [UTF8PROC_CATEGORY_PE] = {"Pe", "Close_Punctuation"},
    [UTF8PROC_CATEGORY_PI] = {"Pi", "Initial_Punctuation"},
    [UTF8PROC_CATEGORY_PF] = {"Pf", "Final_Punctuation"},
    [UTF8PROC_CATEGORY_PO] = {"Po", "Other_Punctuation"},
    [UTF8PROC_CATEGORY_SM] = {"Sm", "Math_Symbol"},
    [UTF8PROC_CATEGORY_SC] = {"Sc", "Currency_Symbol"},
    [UTF8PROC_CATEGORY_SK] = {"Sk", "Modifier_Symbol"},
    [UTF8PROC_CATEGORY_SO] = {"So", "Other_Symbol"},
    [UTF8PROC_CATEGORY_ZS] = {"Zs", "Space_Separator"},
    [UTF8PROC_CATEGORY_ZL] = {"Zl", "Line_Separator"},
    [UTF8PROC_CATEGORY_ZP] = {"Zp", "Paragraph_Separator"},
    [UTF8PROC_CATEGORY_CC] = {"Cc", "Control"},
    [UTF8PROC_CATEGORY_CF] = {"Cf", "Format"},
    [UTF8PROC_CATEGORY_CO] = {"Co", "Private_Use"},
};
static const char *const groups[][2] = {{"L", "Letter"},      {"M", "Mark"},   {"N", "Number"},
                                        {"P", "Punctuation"}, {"S", "Symbol"}, {"Z", "Separator"}};

static bool is_name(const char *known, const char *name, size_t n) {
    return known && strlen(known) == n && memcmp(known, name, n) == 0;
}

bool regex_category(struct arena *arena, struct character_set *set, const char *name, size_t n) {
    enum { N_CATEGORIES = sizeof categories / sizeof *categories };
    bool wanted[N_CATEGORIES] = {false}, any = false, ok = true;
    char group = '\0';
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (is_name(groups[i][0], name, n) || is_name(groups[i][1], name, n)) group = *groups[i][0];
    for (size_t i = 0; i < N_CATEGORIES; i++) {
        if (!categories[i].name) continue;
        wanted[i] = (group && categories[i].name[0] == group) ||
                    is_name(categories[i].name, name, n) || is_name(categories[i].longer, name, n);
        any |= wanted[i];
    }
    if (!any) return false;
    for (uint32_t c = 0, low = 0; c <= CHARACTER_LAST + 1; c++) {
        unsigned category =
            c <= CHARACTER_LAST ? (unsigned)utf8proc_category((utf8proc_int32_t)c) : N_CATEGORIES;
        if (category < N_CATEGORIES && wanted[category]) continue;
        if (low < c) ok &= set_add(arena, set, low, c - 1);
        low = c + 1;
    }
    return ok;
}
