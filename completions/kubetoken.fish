# What may stand at the end of the line `kubetoken __complete` knows: a candidate a line, a tab, what
# it is, and ":0" as the last where it is a file's name.

function __kubetoken_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)

    if test "$words[2]" = run; and set -l end (contains -i -- -- $words)
        set -l command $words[(math $end + 1)..]
        test (count $words) -gt $end; or set command
        complete -C (string join -- ' ' (string escape -- $command) "$current")
        return
    end
    set -l lines (command kubetoken __complete $words[2..] "$current" 2>/dev/null)
    if test "$lines[-1]" = :0
        set -l head (string match -r -- '^--[^=]*=' "$current")
        for file in (__fish_complete_path (string replace -- "$head" '' "$current"))
            echo "$head$file"
        end
        return
    end
    string match -v ':*' -- $lines
end

complete -c kubetoken -f -a '(__kubetoken_complete)'
