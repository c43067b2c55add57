# Completion of hearth's commands, options and models for fish: what the program itself says.
function __hearth_options
    set -l words (commandline -opc)
    hearth $words[2] (string match -v -- '-*' $words[3]) --help 2>/dev/null </dev/null |
        string replace -rf '^ {2,6}(?:-., )?(--[a-z0-9-]+).*' '$1'
end
function __hearth_models
    hearth list 2>/dev/null | tail -n +2 | string match -r '^\S+'
end
complete -c hearth -n __fish_use_subcommand -f \
    -a "(hearth --help | string replace -rf '^  ([a-z]+) +([a-zA-Z].*)' '\$1\t\$2')"
complete -c hearth -n 'not __fish_use_subcommand' -a '(__hearth_options)'
complete -c hearth -n '__fish_seen_subcommand_from run serve show cp rm embed bench perplexity' \
    -a '(__hearth_models)'
