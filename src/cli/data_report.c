#include "cli/data_report.h"

#include <stdio.h>
#include <string.h>

#include "base/term.h"
#include "base/units.h"

static const char *const result_names[N_EXAMPLE_RESULTS] = {"used", "cut", "too long", "refused",
                                                            "nothing to train"};

/* ---- for people ---- */

/* Data may hold what a terminal takes for commands. */
static void put_text(const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        bool c1 = c == 0xC2 && i + 1 < n && (unsigned char)text[i + 1] < 0xA0;
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F || c1) {
            fputs("\u00b7", stdout);
            i += c1;
        } else {
            putchar(c);
        }
    }
}

static void put_count(const char *what, uint64_t n) {
    printf("  %-22s %llu\n", what, (unsigned long long)n);
}

static void print_files(const struct data_report *r) {
    for (size_t i = 0; i < dataset_n_files(r->dataset); i++) {
        const struct dataset_file_summary *f = dataset_file(r->dataset, i);
        char size[32];
        units_format_bytes(f->size_bytes, size, sizeof size);
        printf("%s: %s, %llu record%s", f->path, size, (unsigned long long)f->n_records,
               f->n_records == 1 ? "" : "s");
        if (f->n_broken) printf(", %llu broken", (unsigned long long)f->n_broken);
        printf("\n  file    %s (%s%s)\n", dataset_container_name(f->container), f->container_reason,
               f->has_bom ? "; with a byte order mark" : "");
        printf("  format  %s (%s)\n", dataset_schema_name(f->schema), f->schema_reason);
    }
}

static void print_problems(const struct data_report *r) {
    const struct dataset_problem *p;
    const struct preview_statistics *s = r->statistics;
    uint64_t n = dataset_n_broken(r->dataset);
    if (n || (s && s->n_problems)) puts("\nproblems");
    for (size_t i = 0; (p = dataset_problem(r->dataset, i)); i++)
        printf("  %s:%llu: %s\n", p->place.file, (unsigned long long)p->place.line, p->message);
    if (n > DATASET_PROBLEMS_KEPT)
        printf("  … and %llu more broken records\n",
               (unsigned long long)(n - DATASET_PROBLEMS_KEPT));
    for (size_t i = 0; s && i < s->n_problems; i++)
        printf("  %s:%llu: %s: %s\n", s->problems[i].place.file,
               (unsigned long long)s->problems[i].place.line, result_names[s->problems[i].result],
               s->problems[i].message);
    if (s && s->n_records - s->n_results[EXAMPLE_MADE] > PREVIEW_PROBLEMS_KEPT)
        puts("  … and more that are cut or dropped");
}

static void print_training(const struct data_report *r) {
    const struct preview_statistics *s = r->statistics;
    double share = s->n_tokens ? 100.0 * (double)s->n_trained / (double)s->n_tokens : 0;
    puts("\ntraining");
    put_count("sequences", s->n_sequences);
    put_count("tokens", s->n_tokens);
    printf("  %-22s %llu (%.1f %%)\n", "tokens that train", (unsigned long long)s->n_trained,
           share);
    if (s->longest)
        printf("  %-22s %u tokens (%s:%llu)\n", "longest record", s->longest, s->longest_place.file,
               (unsigned long long)s->longest_place.line);
    for (size_t i = EXAMPLE_TRUNCATED; i < N_EXAMPLE_RESULTS; i++)
        if (s->n_results[i])
            printf("  %-22s %llu record%s\n", result_names[i], (unsigned long long)s->n_results[i],
                   s->n_results[i] == 1 ? "" : "s");
    if (s->n_unknown) printf("  %-22s %llu\n", "unknown tokens", (unsigned long long)s->n_unknown);
    if (!r->has_template && s->n_turns)
        puts("  the model has no chat template: '### Instruction:' and '### Response:' are used");
    if (s->n_rewritten)
        printf("  the template shows what came before %llu of %llu turns otherwise than it was\n"
               "  (thoughts left out, say); what is left of it in the whole conversation trains\n",
               (unsigned long long)s->n_rewritten, (unsigned long long)s->n_turns);
    if (s->n_unprompted)
        printf("  %llu of %llu turns do not begin as the template prompts for them (with a\n"
               "  thought, say)\n",
               (unsigned long long)s->n_unprompted, (unsigned long long)s->n_turns);
    if (s->n_hidden)
        printf("  the template does not show %llu of %llu turns: they are not trained\n",
               (unsigned long long)s->n_hidden, (unsigned long long)s->n_turns);
    if (s->n_end_appended)
        printf("  the template does not end the answer in %llu sequences: the end token was "
               "added\n",
               (unsigned long long)s->n_end_appended);
}

static void print_shown(const struct data_shown *shown, bool colour) {
    static const char *const kinds[] = {"", " chosen,", " rejected,"};
    printf("\n%s:%llu:%s", shown->place.file, (unsigned long long)shown->place.line,
           kinds[shown->kind]);
    if (shown->n_tokens)
        printf(" %u tokens, %u train\n", shown->n_tokens, shown->n_trained);
    else
        puts(" as read");
    for (size_t i = 0; i < shown->preview.n_segments; i++) {
        const struct preview_segment *s = &shown->preview.segments[i];
        if (s->trained) fputs(colour ? "\x1b[32m" : "\u27e6", stdout);
        put_text(shown->preview.text.data + s->begin, s->end - s->begin);
        if (s->trained) fputs(colour ? "\x1b[0m" : "\u27e7", stdout);
    }
    putchar('\n');
}

void data_report_print(const struct data_report *r) {
    bool colour = term_has_colour(stdout);
    print_files(r);
    if (r->statistics) print_training(r);
    print_problems(r);
    if (r->n_shown)
        puts(colour ? "\nwhat trains is \x1b[32mgreen\x1b[0m"
                    : "\nwhat trains stands between \u27e6 and \u27e7");
    for (size_t i = 0; i < r->n_shown; i++)
        print_shown(&r->shown[i], colour);
}

/* ---- for machines ---- */

static json_t *json_place(const struct dataset_place *place) {
    return json_pack("{s:s, s:I}", "file", place->file, "line", (json_int_t)place->line);
}

static json_t *json_files(const struct dataset *d) {
    json_t *list = json_array();
    for (size_t i = 0; i < dataset_n_files(d); i++) {
        const struct dataset_file_summary *f = dataset_file(d, i);
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "file", f->path,
                            "size_bytes", (json_int_t)f->size_bytes, "container",
                            dataset_container_name(f->container), "container_reason",
                            f->container_reason, "format", dataset_schema_name(f->schema),
                            "format_reason", f->schema_reason, "records", (json_int_t)f->n_records,
                            "broken", (json_int_t)f->n_broken, "byte_order_mark", f->has_bom));
    }
    return list;
}

static json_t *json_problems(const struct data_report *r) {
    json_t *list = json_array();
    const struct dataset_problem *p;
    for (size_t i = 0; (p = dataset_problem(r->dataset, i)); i++) {
        json_t *one = json_place(&p->place);
        json_object_set_new(one, "kind", json_string("broken"));
        json_object_set_new(one, "message", json_string(p->message));
        json_array_append_new(list, one);
    }
    for (size_t i = 0; r->statistics && i < r->statistics->n_problems; i++) {
        const struct preview_problem *problem = &r->statistics->problems[i];
        json_t *one = json_place(&problem->place);
        json_object_set_new(one, "kind", json_string(result_names[problem->result]));
        json_object_set_new(one, "message", json_string(problem->message));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *json_training(const struct data_report *r) {
    const struct preview_statistics *s = r->statistics;
    if (!s) return json_null();
    json_t *results = json_object();
    for (size_t i = 0; i < N_EXAMPLE_RESULTS; i++)
        json_object_set_new(results, result_names[i], json_integer((json_int_t)s->n_results[i]));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:o}",
                     "records", (json_int_t)s->n_records, "sequences", (json_int_t)s->n_sequences,
                     "tokens", (json_int_t)s->n_tokens, "trained_tokens", (json_int_t)s->n_trained,
                     "unknown_tokens", (json_int_t)s->n_unknown, "longest", (json_int_t)s->longest,
                     "turns", (json_int_t)s->n_turns, "turns_hidden", (json_int_t)s->n_hidden,
                     "turns_rewritten", (json_int_t)s->n_rewritten, "turns_unprompted",
                     (json_int_t)s->n_unprompted, "ends_added", (json_int_t)s->n_end_appended,
                     "chat_template", r->has_template, "max_length", (json_int_t)r->max_length,
                     "results", results);
}

static json_t *json_shown(const struct data_report *r) {
    static const char *const kinds[] = {"plain", "chosen", "rejected"};
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_shown; i++) {
        const struct data_shown *shown = &r->shown[i];
        json_t *one = json_place(&shown->place), *segments = json_array();
        for (size_t k = 0; k < shown->preview.n_segments; k++) {
            const struct preview_segment *s = &shown->preview.segments[k];
            json_array_append_new(segments, json_pack("{s:s%, s:b}", "text",
                                                      shown->preview.text.data + s->begin,
                                                      s->end - s->begin, "trained", s->trained));
        }
        json_object_set_new(one, "kind", json_string(kinds[shown->kind]));
        json_object_set_new(one, "tokens", json_integer(shown->n_tokens));
        json_object_set_new(one, "trained_tokens", json_integer(shown->n_trained));
        json_object_set_new(one, "segments", segments);
        json_array_append_new(list, one);
    }
    return list;
}

bool data_report_print_json(const struct data_report *r) {
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    dataset_digest(r->dataset, digest);
    sha256_hex(digest, hex);
    json_t *result =
        json_pack("{s:o, s:I, s:I, s:s, s:o, s:o, s:o}", "files", json_files(r->dataset), "records",
                  (json_int_t)dataset_count(r->dataset, PART_TRAIN), "broken",
                  (json_int_t)dataset_n_broken(r->dataset), "sha256", hex, "training",
                  json_training(r), "problems", json_problems(r), "samples", json_shown(r));
    bool ok = result && json_dumpf(result, stdout, JSON_INDENT(1)) == 0;
    putchar('\n');
    json_decref(result);
    return ok;
}
