# Sizes, header guards and banned calls of C files; see tools/tidy.

BEGIN {
    warn_lines = 600
    max_lines = 1000
    max_function_lines = 70

    # Call -> what to use instead, everywhere.
    ban("strcpy strcat strncpy strncat sprintf vsprintf", "snprintf or base/buf.h")
    ban("gets", "fgets")
    ban("strtok", "strtok_r")
    ban("atoi atol atoll atof", "strtol and its kin, checked")
    ban("alloca", "base/arena.h")
    ban("rand srand random srandom drand48", "base/rng.h")
    ban("tmpnam tempnam mktemp", "mkostemp")
    ban("system popen", "nothing: Hearth starts no shell")
    ban("asctime ctime gmtime localtime", "the _r form")

    # Call -> why not, in library rooms.
    library_ban("printf vprintf puts putchar perror", "the library never prints")
    library_ban("exit _exit _Exit quick_exit abort", "the library never ends the process")
    library_ban("malloc calloc realloc reallocarray strdup strndup asprintf vasprintf aligned_alloc posix_memalign",
                "allocate with base/mem.h")
}

function ban(names, instead,    list, n, i) {
    n = split(names, list, " ")
    for (i = 1; i <= n; i++) banned[list[i]] = "use " instead
}

function library_ban(names, why,    list, n, i) {
    n = split(names, list, " ")
    for (i = 1; i <= n; i++) banned_in_library[list[i]] = why
}

function report(line, text) {
    print file ":" line ": " text
    bad = 1
}

# The line without comments, strings and character constants. in_comment carries
# over lines.
function code_of(line,    out, c, two, i, n, quote) {
    out = ""
    n = length(line)
    quote = ""
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; i++ }
        } else if (quote != "") {
            if (c == "\\") i++
            else if (c == quote) { quote = ""; out = out c }
        } else if (two == "/*") { in_comment = 1; i++ }
        else if (two == "//") break
        else {
            if (c == "\"" || c == "'") quote = c
            out = out c
        }
    }
    return out
}

function check_calls(code,    rest, name) {
    rest = code
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*\(/)) {
        name = substr(rest, RSTART, RLENGTH - 1)
        if (RSTART == 1 || substr(rest, RSTART - 1, 1) !~ /[.>]/) {
            if (name in banned) report(FNR, name "() is banned: " banned[name])
            else if (library && name in banned_in_library && !(name == "_exit" && forks))
                report(FNR, name "(): " banned_in_library[name])
        }
        rest = substr(rest, RSTART + RLENGTH)
    }
}

# A definition at the left margin: remembers where it starts, what its opening
# brace belongs to, and measures a function when "}" is reached at the margin.
function follow_definition(code, line) {
    if (in_body) {
        if (line ~ /^}/) {
            if (is_function && FNR - start + 1 > max_function_lines && !excused)
                report(start, "a function of " FNR - start + 1 " lines; at most " max_function_lines \
                       ", or say why before it: /* long: reason */")
            in_body = continued = 0
        }
        return
    }
    if (code ~ /^#/ || code ~ /^[ \t]*$/ || code ~ /extern ""/) return
    if (!continued) {
        start = FNR
        signature = ""
        excused = previous ~ /long: /
    }
    signature = signature code
    continued = 1
    if (code ~ /{[ \t]*$/) {
        in_body = 1
        is_function = signature ~ /\)[^=]*{[ \t]*$/ && signature !~ /=[ \t]*{[ \t]*$/
    } else if (code ~ /[;}][ \t]*$/) continued = 0
}

function guard_of(path) {
    sub(/^(src|include)\//, "", path)
    if (path == "hearth.h") return "HEARTH_H"
    gsub(/[^A-Za-z0-9]/, "_", path)
    return "HEARTH_" toupper(path)
}

# File names are unique, so that a test's header may leave its room out. A header
# that is included several times on purpose says "no include guard" at its top.
function guard_is_right(    full, short) {
    full = guard_of(file)
    short = file
    sub(/^.*\//, "", short)
    short = guard_of("tests/" short)
    return guard == full || (file ~ /^tests\// && guard == short)
}

function finish() {
    if (file == "") return
    if (!generated && lines > max_lines)
        report(lines, lines " lines; at most " max_lines ": which concept is missing?")
    else if (!generated && lines > warn_lines)
        print file ": note: " lines " lines, more than " warn_lines
    if (file ~ /\.h$/ && !generated && !unguarded && !guard_is_right())
        report(1, "the header guard is " (guard == "" ? "missing" : guard) ", not " guard_of(file) \
               (guard == "" ? "; or say \"no include guard\" and why at its top" : ""))
}

FNR == 1 {
    finish()
    file = FILENAME
    library = file ~ /^src\// && file !~ /^src\/cli\// && file != "src/base/mem.c"
    forks = file == "src/base/child_process.c" # its children end so before they are programs
    generated = unguarded = in_comment = in_body = continued = is_function = 0
    guard = previous = ""
}

{ lines = FNR }
FNR <= 12 && tolower($0) ~ /generated (by|from|with)/ { generated = 1 }
FNR <= 25 && tolower($0) ~ /no include guard/ { unguarded = 1 }
/^#ifndef / && guard == "" { guard = $2 }
/^#[ \t]*define/ { in_macro = 1 }
{
    code = code_of($0)
    if (code ~ /\(/) check_calls(code)
    if (!in_macro) follow_definition(code, $0)
    if ($0 !~ /\\$/) in_macro = 0
    if ($0 !~ /^[ \t]*$/) previous = $0
}

END {
    finish()
    exit bad
}
