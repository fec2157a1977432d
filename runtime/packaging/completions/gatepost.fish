complete -c gatepost -s s -l signal -d 'Send a signal to the running process and exit' -r -f -a "stop\t'End at once'
quit\t'End when every session has ended'
reopen\t'Open the logs anew'
reload\t'Read the configuration anew'"
complete -c gatepost -s p -l prefix -d 'The folder that relative paths on the command line, logs and the pid file are taken from' -r -f -a "(__fish_complete_directories)"
complete -c gatepost -s e -l error-log -d 'The log until the configuration names others, and where it names none; `stderr` is standard error' -r -F
complete -c gatepost -s c -l config -d 'The configuration' -r -F
complete -c gatepost -s g -l directives -d 'Directives to be read before the configuration, such as `daemon off;`' -r -f
complete -c gatepost -s h -s ? -l help -d 'Show this and exit'
complete -c gatepost -s v -l version -d 'Show the version and exit'
complete -c gatepost -s V -l build -d 'Show the version and what nginx\'s guides look for in it, and exit'
complete -c gatepost -s t -l test -d 'Test the configuration, open what it names, and exit'
complete -c gatepost -s T -l dump -d 'The same, and print every file that was read'
complete -c gatepost -s q -l quiet -d 'With -t or -T, say only what is wrong'
