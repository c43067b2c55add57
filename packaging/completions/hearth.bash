# Completion of hearth's commands, options and models for bash: what the program itself says.
_hearth() {
    local line=${COMP_LINE:0:COMP_POINT} words word help prefix
    read -r -a words <<<"$line"
    word=${line##*[[:space:]]}
    if [[ ${#words[@]} -le 1 || (${#words[@]} -eq 2 && -n $word) ]]; then
        help=$(hearth --help 2>/dev/null)
        help="--help --version $(sed -n 's/^  \([a-z]\{1,\}\)  *[a-zA-Z].*/\1/p' <<<"$help")"
    elif [[ $word == -* ]]; then
        [[ ${words[2]} == -* ]] && words[2]=--help # a part of a command has options of its own
        help=$(hearth "${words[1]}" "${words[2]}" --help 2>/dev/null </dev/null)
        help=$(sed -n 's/^ \{2,6\}\(-., \)\{0,1\}\(--[a-z0-9-]*\).*/\2/p' <<<"$help")
    else
        help=$(hearth "${words[1]}" --help 2>/dev/null | sed -n '1s/.* \([a-z]*|[a-z|]*\)$/\1/p')
        help="${help//|/ } $(hearth list 2>/dev/null | awk 'NR > 1 { print $1 }')"
    fi
    mapfile -t COMPREPLY < <(compgen -W "$help" -- "$word")
    # bash takes what follows a colon, as of qwen3:4b, for a word of its own.
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
        prefix=${word%"${word##*:}"}
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    fi
}
complete -o bashdefault -o default -F _hearth hearth
