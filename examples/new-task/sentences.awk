# Spoken commands to a house and what they mean, as JSON lines: `kitchen.lamp=on`.
# Usage: awk -v held_out=0 -v count=500 -f sentences.awk
# One in five meanings (room, device, state) is held out: none of its sentences is ever trained.
BEGIN {
    n_rooms = split_words("kitchen bedroom bathroom cellar garage garden office attic", room)
    n_devices = split_words("lamp heater fan radio oven camera door pump", device)
    n_on = split("Turn on the D in the R.|Switch the D in the R on.|Start the R D, please.|" \
        "I want the D in the R running.|In the R, the D should be on.|R D on", on, "|")
    n_off = split("Turn off the D in the R.|Switch the D in the R off.|Stop the R D, please.|" \
        "I no longer need the D in the R.|In the R, the D should be off.|R D off", off, "|")
    for (r = 1; r <= n_rooms; r++)
        for (d = 1; d <= n_devices; d++)
            for (state = 0; state <= 1; state++)
                for (p = 1; p <= n_on; p++)
                    add(r, d, state, state ? on[p] : off[p])
    shuffle()
    for (i = 1; i <= n && i <= count; i++) print line[i]
}

function split_words(text, into) {
    return split(text, into, " ")
}

function add(r, d, state, pattern,    question, answer) {
    if (((r + d * 2 + state) % 5 == 0) != held_out) return
    question = pattern
    sub(/D/, device[d], question)
    sub(/R/, room[r], question)
    answer = room[r] "." device[d] "=" (state ? "on" : "off")
    line[++n] = sprintf("{\"task\":\"house\",\"expected\":\"%s\",\"messages\":[{\"role\":\"user\"," \
        "\"content\":\"%s\"},{\"role\":\"assistant\",\"content\":\"%s\"}]}", answer, question, answer)
}

# The same order everywhere: the generator of Park and Miller (1988), not awk's own.
function shuffle(    i, j, seed, other) {
    seed = 20011
    for (i = n; i > 1; i--) {
        seed = (seed * 16807) % 2147483647
        j = seed % i + 1
        other = line[i]; line[i] = line[j]; line[j] = other
    }
}
