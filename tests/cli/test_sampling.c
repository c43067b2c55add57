/* Sampling options as a request has them. */
#include "testdata.h"

#include <string.h>

#include "cli/sampling.h"

static json_t *request_of(const struct sampling_settings *s) {
    json_t *out;
    hearth_error err = {0};
    if (sampling_request(s, &out, &err) != HEARTH_OK) fail_msg("%s", err.message);
    return out;
}

static double number(const json_t *request, const char *name) {
    const json_t *value = json_object_get(request, name);
    if (!json_is_number(value)) fail_msg("no number '%s'", name);
    return json_number_value(value);
}

static void every_option_is_in_the_request(void **state) {
    static const struct {
        const char *option, *name, *text;
        double value;
    } settings[] = {{"temp", "temperature", "0.25", 0.25},
                    {"top-k", "top_k", "7", 7},
                    {"top-p", "top_p", "0.5", 0.5},
                    {"min-p", "min_p", "0.125", 0.125},
                    {"typical", "typical_p", "0.75", 0.75},
                    {"top-n-sigma", "top_n_sigma", "2", 2},
                    {"xtc-probability", "xtc_probability", "0.5", 0.5},
                    {"xtc-threshold", "xtc_threshold", "0.25", 0.25},
                    {"repeat-penalty", "repeat_penalty", "1.5", 1.5},
                    {"repeat-last-n", "repeat_last_n", "9", 9},
                    {"presence-penalty", "presence_penalty", "0.5", 0.5},
                    {"frequency-penalty", "frequency_penalty", "-0.5", -0.5},
                    {"dry-multiplier", "dry_multiplier", "0.5", 0.5},
                    {"dry-base", "dry_base", "2", 2},
                    {"dry-allowed-length", "dry_allowed_length", "3", 3},
                    {"dry-penalty-last-n", "dry_penalty_last_n", "11", 11},
                    {"mirostat", "mirostat", "2", 2},
                    {"mirostat-ent", "mirostat_tau", "4", 4},
                    {"mirostat-lr", "mirostat_eta", "0.25", 0.25},
                    {"seed", "seed", "42", 42}};
    struct sampling_settings s;
    struct option_spec specs[SAMPLING_SPECS];
    size_t n = sampling_specs(&s, specs), n_set = 0;
    hearth_error err = {0};
    (void)state;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof settings / sizeof settings[0]; k++) {
            if (!specs[i].name || strcmp(specs[i].name, settings[k].option) != 0) continue;
            assert_int_equal(option_set(&specs[i], settings[k].option, settings[k].text, &err),
                             HEARTH_OK);
            n_set++;
        }
    assert_int_equal(n_set, sizeof settings / sizeof settings[0]);
    s.seed_given = true;
    assert_int_equal(sampling_check(&s, &err), HEARTH_OK);
    json_t *request = request_of(&s);
    for (size_t k = 0; k < n_set; k++)
        if (number(request, settings[k].name) != settings[k].value)
            fail_msg("%s", settings[k].name);
    json_decref(request);
    s.seed_given = false;
    request = request_of(&s);
    assert_null(json_object_get(request, "seed")); /* by chance */
    json_decref(request);
}

static void biases_have_two_spellings(void **state) {
    static const char *const good[] = {"128=-inf", "3+2.5", "4-1", "0=7"};
    static const char *const bad[] = {"", "x", "1", "1=", "-1=2", "1=nan", "1=inf", "1=2x"};
    struct sampling_settings s;
    struct option_spec specs[SAMPLING_SPECS];
    hearth_error err = {0};
    json_t *request;
    (void)state;
    sampling_specs(&s, specs);
    for (size_t i = 0; i < 4; i++)
        s.logit_bias.items[s.logit_bias.count++] = good[i];
    s.dry_breakers.items[s.dry_breakers.count++] = "\n";
    request = request_of(&s);
    json_t *expected = json_loads("[[128, false], [3, 2.5], [4, -1.0], [0, 7.0]]", 0, NULL);
    assert_true(json_equal(json_object_get(request, "logit_bias"), expected));
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(request, "dry_sequence_breakers"), 0)),
        "\n");
    json_decref(expected);
    json_decref(request);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        s.logit_bias.count = 1;
        s.logit_bias.items[0] = bad[i];
        assert_int_equal(sampling_request(&s, &request, &err), HEARTH_ERROR_ARGUMENT);
        assert_non_null(strstr(err.message, "ID=BIAS"));
        json_decref(request);
    }
    s.logit_bias.count = 0;
    s.dry_breakers.items[0] = "\xff";
    assert_int_equal(sampling_request(&s, &request, &err), HEARTH_ERROR_ARGUMENT);
    json_decref(request);
}

static void what_a_model_recommends_is_no_match_for_an_option(void **state) {
    struct sampling_settings s;
    struct option_spec specs[SAMPLING_SPECS];
    json_t *recommended = json_pack("{s:f, s:i, s:f, s:s}", "temperature", 0.5, "top_k", 5, "top_p",
                                    0.25, "min_p", "no number");
    (void)state;
    sampling_specs(&s, specs);
    s.top_p = 0.75;
    s.top_p_given = true;
    double min_p = s.min_p;
    sampling_take_model(&s, recommended);
    assert_true(s.temperature == 0.5 && s.top_k == 5 && s.top_p == 0.75 && s.min_p == min_p);
    sampling_take_model(&s, NULL);
    assert_true(s.temperature == 0.5);
    json_decref(recommended);
}

static void impossible_values_are_refused(void **state) {
    struct sampling_settings s;
    struct option_spec specs[SAMPLING_SPECS];
    hearth_error err = {0};
    (void)state;
    sampling_specs(&s, specs);
    assert_int_equal(sampling_check(&s, &err), HEARTH_OK);
    s.mirostat = 1;
    assert_int_equal(sampling_check(&s, &err), HEARTH_ERROR_ARGUMENT);
    assert_non_null(strstr(err.message, "mirostat"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_is_in_the_request),
        cmocka_unit_test(biases_have_two_spellings),
        cmocka_unit_test(what_a_model_recommends_is_no_match_for_an_option),
        cmocka_unit_test(impossible_values_are_refused),
    };
    return cmocka_run_group_tests_name("cli/sampling", tests, NULL, NULL);
}
