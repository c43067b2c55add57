/* Bodies in every dialect become the requests they mean, and wrong ones problems with the name of
 * the field: tests/chat/dialect_requests.json. */
#include "dialect_script.h"

#include <string.h>

static bool parse(enum endpoint endpoint, const json_t *body, struct request *request,
                  struct dialect_problem *problem) {
    request_init(request);
    return dialect_parse(endpoint, body, request, problem);
}

static bool is_expected_problem(const char *name, const struct dialect_problem *problem,
                                const char *parameter) {
    bool ok = strcmp(problem->parameter, parameter) == 0 && problem->http_status == 400 &&
              problem->message[0] != '\0';
    if (!ok)
        print_message("%s: %d '%s' %s\n", name, problem->http_status, problem->parameter,
                      problem->message);
    return ok;
}

static bool is_expected_request(const char *name, const struct request *request,
                                const json_t *expected) {
    json_t *found = script_request(request);
    bool ok = script_equal(name, found, expected);
    json_decref(found);
    return ok;
}

/* {"endpoint", "body", "request" | "problem": "parameter"} */
static bool check_case(const json_t *item) {
    struct request request;
    struct dialect_problem problem;
    const char *name = json_string_value(json_object_get(item, "name"));
    const char *wrong = json_string_value(json_object_get(item, "problem"));
    bool parsed = parse(script_endpoint(json_string_value(json_object_get(item, "endpoint"))),
                        json_object_get(item, "body"), &request, &problem);
    bool ok;
    if (parsed != !wrong) {
        print_message("%s: '%s' %s\n", name, problem.parameter,
                      parsed ? "was accepted" : problem.message);
        ok = false;
    } else if (wrong)
        ok = is_expected_problem(name, &problem, wrong);
    else
        ok = is_expected_request(name, &request, json_object_get(item, "request"));
    request_release(&request);
    return ok;
}

static void requests_mean_what_they_say(void **state) {
    (void)state;
    json_t *cases = script_load("dialect_requests.json"), *item;
    size_t i, n_wrong = 0;
    json_array_foreach(cases, i, item) {
        n_wrong += !check_case(item);
    }
    assert_int_equal(n_wrong, 0);
    assert_true(json_array_size(cases) > 20);
    json_decref(cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_mean_what_they_say),
    };
    return cmocka_run_group_tests_name("chat/dialect_parse", tests, NULL, NULL);
}
