
complete -c astro -a "(type -q astro; and astro __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null | string match -v ':*')"
