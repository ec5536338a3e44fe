# bash completion for kubetoken
# What may stand at the end of the line `kubetoken __complete` knows: a candidate a line, and ":0"
# as the last where it is a file's name.

_kubetoken()
{
    local blanks candidate candidates line rest=${COMP_LINE:0:COMP_POINT} words=() i
    COMPREPLY=()

    # COMP_WORDS is cut at each of COMP_WORDBREAKS (=, @, :): what no blank parts is one word.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        blanks=${rest%%[![:blank:]]*}
        rest=${rest#"$blanks"}
        line=${COMP_WORDS[i]}
        ((i < COMP_CWORD)) || line=$rest
        if [[ -z $blanks && $i -gt 0 ]]; then
            words[${#words[@]}-1]+=$line
        else
            words+=("$line")
        fi
        rest=${rest#"$line"}
        if [[ $line == -- && ${words[1]} == run && $i -lt $COMP_CWORD ]]; then
            _kubetoken_command $((i + 1))
            return
        fi
    done

    mapfile -t candidates < <(kubetoken __complete "${words[@]:1}" 2>/dev/null)
    if [[ ${candidates[*]: -1} == :0 ]]; then
        compopt -o default
        return
    fi
    rest=${words[*]: -1}
    for candidate in "${candidates[@]}"; do
        candidate=${candidate%%$'\t'*}
        [[ $candidate == "$rest"* && $candidate != :* ]] || continue
        # readline puts it in the place of what stands behind the last break alone
        printf -v candidate %q "${candidate#"${rest%"${rest##*[$COMP_WORDBREAKS]}"}"}"
        COMPREPLY+=("$candidate")
    done
}

# A whole command begins at that word.
_kubetoken_command()
{
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    else
        compopt -o default
    fi
}

complete -F _kubetoken kubetoken
